"use strict";
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// text is only ever set as text: nothing of the data becomes mark-up
function element(name, text = "", attributes = {}, ...children) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(one("#" + id).textContent), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}

for (const part of all(".scripted")) part.hidden = false;

// light, dark, or as the system is
const themes = { "": "system", light: "light", dark: "dark" };
one("#theme").addEventListener("click", ({ currentTarget }) => {
  const names = Object.keys(themes);
  const next = names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % names.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  currentTarget.textContent = "Theme: " + themes[next];
});

// a column sorts: numbers by value, what is no number last; then the other way round, then as it was
function value(cell) {
  const text = cell.textContent.trim();
  const number = /^\d+\/\d+/.test(text) ? null : /^<?\s*([+−-]?\d[\d.]*(e[+-]?\d+)?)/.exec(text);
  return number ? Number(number[1].replace("−", "-").replace("+", "")) : NaN;
}
const words = new Intl.Collator("en", { numeric: true });
for (const table of all("table.sorts")) {
  const body = one("tbody", table);
  const original = [...body.rows];
  const heads = all("thead th", table);
  heads.forEach((head, column) => {
    const button = element("button", head.textContent, { type: "button" });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort ?? "none"];
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const keys = new Map(original.map((row) => [row, value(row.cells[column])]));
      const byText = !original.some((row) => keys.get(row) === keys.get(row));
      const compare = (a, b) => {
        if (byText) return sign * words.compare(a.cells[column].textContent, b.cells[column].textContent);
        const [left, right] = [keys.get(a), keys.get(b)];
        return Number(isNaN(left)) - Number(isNaN(right)) || sign * (left - right) || 0;
      };
      body.append(...(next === "none" ? original : [...original].sort(compare)));
    });
  });
}

// the seeds of a cell: under the pointer, or where the arrow keys have led
const tip = one("#tip");
function show(cell) {
  tip.hidden = !cell;
  for (const each of all("[aria-describedby=tip]")) each.removeAttribute("aria-describedby");
  if (!cell) return;
  tip.textContent = cell.dataset.seeds;
  cell.setAttribute("aria-describedby", "tip");
  const box = cell.getBoundingClientRect();
  const above = box.bottom + tip.offsetHeight > innerHeight;
  tip.style.top = Math.max(0, above ? box.top - tip.offsetHeight - 4 : box.bottom + 4) + "px";
  tip.style.left = Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 8)) + "px";
}
const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
for (const table of all("table")) {
  const cells = all("[data-seeds]", table);
  cells.forEach((cell, number) => (cell.tabIndex = number ? -1 : 0));
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("[data-seeds]");
    if (!cell || !steps[event.key]) return;
    event.preventDefault();
    const [down, right] = steps[event.key];
    const rows = [...cell.closest("tbody").rows];
    let [row, column] = [rows.indexOf(cell.parentNode) + down, cell.cellIndex + right];
    while (rows[row]?.cells[column] && !rows[row].cells[column].dataset.seeds) [row, column] = [row + down, column + right];
    const next = rows[row]?.cells[column];
    if (!next) return;
    [cell.tabIndex, next.tabIndex] = [-1, 0];
    next.focus();
  });
}
// what has the focus stays shown, though the page scrolls or the pointer is elsewhere
const focused = () => document.activeElement?.closest("[data-seeds]");
document.addEventListener("mouseover", (event) => show(event.target.closest("[data-seeds]") ?? focused()));
document.addEventListener("focusin", () => show(focused()));
document.addEventListener("focusout", () => show(null));
document.addEventListener("scroll", () => show(focused()), true);
document.addEventListener("keydown", (event) => event.key === "Escape" && show(null));

// transcripts: a page of them at a time
function textOf(held, [name, text, changes]) {
  const line = element("div", "", { class: "text" }, element("b", held.words[name]), " ");
  const signs = [...held.texts[text]];
  let place = 0;
  for (let at = 0; at < changes.length; at += 3) {
    const [begin, length, instead] = changes.slice(at, at + 3);
    line.append(signs.slice(place, begin).join(""));
    place = begin + length;
    if (length) line.append(element("del", signs.slice(begin, place).join("")));
    if (instead) line.append(element("ins", instead));
  }
  line.append(signs.slice(place).join(""));
  return line;
}
function article(held, [run, id, outcome, gold, before, after, facts, texts]) {
  const word = (number) => element("bdi", held.words[number]);
  const whose = held.fields.map((name, number) => name === "seed" ? "seed " + held.runs[run][number] : held.runs[run][number]);
  const head = element("h3", "", {}, word(id), " ", element("span", held.words[outcome], { class: "outcome" }), " ",
    element("small", whose.filter((text) => text && text !== "none").join(" · ")));
  const change = held.words[before] ? ["; ", word(before), " → ", word(after)] : [];
  const told = element("p", "", {}, "gold ", word(gold), ...change, "; " + facts);
  return element("article", "", { class: held.words[outcome] }, head, told, ...texts.map((each) => textOf(held, each)));
}
async function transcripts() {
  const held = await unpacked("packed-attacks");
  const [form, EACH] = [one("#filter"), 20];
  const kinds = [...held.fields, "outcome"];
  const of = (line, kind) => kind === "outcome" ? held.words[line[2]] : held.runs[line[0]][held.fields.indexOf(kind)];
  for (const kind of kinds) {
    const names = [...new Set(held.lines.map((line) => of(line, kind)))];
    if (names.length < 2 && !["method", "recipe", "outcome"].includes(kind)) continue;
    const options = names.sort(words.compare).map((name) => element("option", name, { value: name }));
    form.append(element("label", kind, {}, element("select", "", { name: kind }, element("option", "all", { value: "" }), ...options)));
  }
  form.append(element("label", "contains", {}, element("input", "", { name: "holds", type: "search", size: 12 })));
  let [found, first] = [held.lines, 0];
  const draw = () => {
    one("#transcripts").replaceChildren(...found.slice(first, first + EACH).map((line) => article(held, line)));
    const counts = {};
    for (const line of found) counts[of(line, "outcome")] = (counts[of(line, "outcome")] ?? 0) + 1;
    const told = Object.entries(counts).map(([name, count]) => count + " " + name).join(", ");
    const range = found.length ? first + 1 + "–" + Math.min(first + EACH, found.length) + " of " : "";
    one("#shown").textContent = range + found.length + (told ? ": " + told : ": nothing is like this");
    one("#previous").disabled = first === 0;
    one("#next").disabled = first + EACH >= found.length;
  };
  const choose = () => {
    const asked = new FormData(form);
    const text = asked.get("holds").toLowerCase();
    const holds = (line) => [held.words[line[1]], ...line[7].flatMap(([, number, changes]) => [held.texts[number], ...changes])]
      .some((each) => String(each).toLowerCase().includes(text));
    found = held.lines.filter((line) => kinds.every((kind) => !asked.get(kind) || of(line, kind) === asked.get(kind)) && (!text || holds(line)));
    first = 0;
    draw();
  };
  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  const turn = (by) => () => { first += by; draw(); one("#attacks").scrollIntoView(); };
  one("#previous").addEventListener("click", turn(-EACH));
  one("#next").addEventListener("click", turn(EACH));
  draw();
}
if (one("#packed-attacks")) {
  transcripts().catch((error) => (one("#shown").textContent = "This browser cannot unpack the transcripts: " + error));
}

// rows and the spec as files
const quoted = (held) => {
  const text = held === null ? "" : typeof held === "object" ? JSON.stringify(held) : String(held);
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
};
async function written(kind) {
  if (kind === "yaml") return one("#spec").textContent;
  const held = await unpacked("packed-rows");
  const names = Object.keys(held);
  const rows = held[names[0]].map((_, row) => names.map((name) => held[name][row]));
  if (kind === "csv") return [names, ...rows].map((row) => row.map(quoted).join(",") + "\n").join("");
  return JSON.stringify(rows.map((row) => Object.fromEntries(row.map((each, place) => [names[place], each]))), null, 1) + "\n";
}
for (const button of all("[data-save]")) {
  button.addEventListener("click", async () => {
    const { save } = button.dataset;
    const url = URL.createObjectURL(new Blob([await written(save)], { type: "text/plain" }));
    element("a", "", { href: url, download: save === "yaml" ? "experiment.yaml" : "rows." + save }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  });
}
addEventListener("beforeprint", () => all("details").forEach((each) => (each.open = true)));
