"""Texts that would be more than text, if whoever shows them let them."""

INJECTED = "<script>document.title = 'taken over'</script>"
HOSTILE = (
    INJECTED,
    "</title></style></dd></article>" + INJECTED,
    "<img src=x onerror=\"document.title='taken over'\"> & <b>bold</b>",
    "\"' onmouseover='document.title=1' {{ 7 * 7 }} {% raw %} [red]markup[/red] :smile:",
    "שלום עולם \u202e reversed \u0000 \u001b]0;taken over\u0007 \u009b31m end",
)
