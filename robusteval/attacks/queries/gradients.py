"""How a model's loss changes with the words of one text: what attacks ask for that look inside the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from robusteval.attacks.queries.cache import Text
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.models.encoding import Collator, encode


@dataclass(frozen=True)
class WordGradient:
    """The gradient of the loss at the word embeddings of one text.

    ids, tokens: the n tokens that the model reads, special ones included. values: float32 [n, D].
    """

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    values: npt.NDArray[np.float32]


Gradient = Callable[[Text], WordGradient]


class ModelGradient:
    """The gradient of a transformers classifier: of its cross-entropy for the label that it predicts.

    The model is in evaluation mode meanwhile; its parameters and their gradients are left alone, frozen or not.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int) -> None:
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length

    def __call__(self, text: Text) -> WordGradient:
        """The gradient at `text`, alone in its batch and not padded. UserError where the model hides its embeddings."""
        encoded = encode(self.tokenizer, [[column] for column in text], max_length=self.max_length)
        batch = Collator(self.tokenizer)(encoded, np.arange(1)).to(next(self.model.parameters()).device)
        embedded: list[torch.Tensor] = []

        def detach(module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor:
            embedded.append(output.detach().requires_grad_())
            return embedded[-1]

        hook = self.model.get_input_embeddings().register_forward_hook(detach)
        training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(False), torch.enable_grad():
                logits = self.model(**batch.inputs).logits
                if not embedded:
                    raise UserError(
                        f"model: no gradient of {type(self.model).__name__}: its words do not pass "
                        "get_input_embeddings()"
                    )
                loss = torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1))
                (values,) = torch.autograd.grad(loss, embedded[:1])
        finally:
            hook.remove()
            self.model.train(training)
        ids = encoded.ids.tolist()
        tokens = tuple(self.tokenizer.convert_ids_to_tokens(ids))
        # [1, n, D]; XLNet has the text in the second place
        return WordGradient(tuple(ids), tokens, values.reshape(len(ids), -1).float().cpu().numpy())


def gradient_of(predict: Any) -> Gradient | None:
    """What belongs to a `Predict`: its attribute `gradient`, or the gradient of the `Predictor` it is a method of."""
    given: Gradient | None = getattr(predict, "gradient", None)
    if given is not None:
        return given
    owner = getattr(predict, "__self__", None)
    if isinstance(owner, Predictor):
        return ModelGradient(owner.model, owner.tokenizer, owner.max_length)
    return None
