"""Post-training: masked language modelling on the task's own training text, before fine-tuning on its labels."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robusteval.components.optimizers import learning_rate_at, make_optimizer, set_learning_rate
from robusteval.errors import UserError
from robusteval.methods.base import Method, Shared, TrainingData
from robusteval.models.architectures import submodules
from robusteval.models.encoding import Batch
from robusteval.models.hashes import checkpoint_sha256, config_sha256, tensors_sha256
from robusteval.runtime.generators import forked, torch_generator
from robusteval.runtime.seeds import derive
from robusteval.settings.checks import check_range
from robusteval.settings.train import TrainConfig

IGNORED = -100


def mask_tokens(
    ids: Tensor, special: Tensor, mask_id: int, vocabulary: int, rate: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """BERT's masking: (input ids, labels), both [B, L]; labels are -100 where nothing is to be predicted.

    Each token outside `special` [B, L] is chosen with probability `rate`; of the chosen, 80 % become mask_id,
    10 % a random token, 10 % stay.
    """

    def draw() -> Tensor:
        return torch.rand(ids.shape, generator=generator, device=ids.device)

    chosen = (draw() < rate) & ~special
    kind = draw()
    random = torch.randint(vocabulary, ids.shape, generator=generator, device=ids.device)
    masked = torch.where(chosen & (kind < 0.8), mask_id, ids)
    masked = torch.where(chosen & (kind >= 0.9), random, masked)
    return masked, torch.where(chosen, ids, IGNORED)


@dataclass(frozen=True)
class PostTrainingSettings:
    """TDT, which compares with it, names no setting; these are BERT's.

    passes: epochs over the training text; steps: optimizer steps instead. rate: the peak learning rate.
    mask: share of the tokens to predict; rise: share of the steps with a rising rate. (`epochs`, `learning_rate`
    and `warmup` are those of fine-tuning, so these have names of their own.)
    seed: of masks, order and dropout; None: the run's. With one, runs of all seeds begin with one checkpoint.
    """

    passes: float = 3.0
    steps: int | None = None
    rate: float = 5e-5
    mask: float = 0.15
    rise: float = 0.1
    seed: int | None = None

    def __post_init__(self) -> None:
        check_range("post-training:passes", self.passes, 0, math.inf)
        if self.steps is not None:
            check_range("post-training:steps", self.steps, 0, math.inf)
        check_range("post-training:rate", self.rate, 0, math.inf)
        check_range("post-training:mask", self.mask, 0, 1, open_low=True)
        check_range("post-training:rise", self.rise, 0, 1)
        if self.seed is not None:
            check_range("post-training:seed", self.seed, 0, 2**63)


class _Given(nn.Module):
    """Stands in for the encoder of a masked-language model, so that its head runs on chosen positions alone."""

    hidden: Tensor

    def forward(self, *_: Any, **__: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.hidden)


class PostTraining(Method[PostTrainingSettings]):
    """All in `setup`; then 3F per step. The encoder is the classifier's own; the prediction head is thrown away."""

    Settings = PostTrainingSettings

    def shared(self, config: TrainConfig, seed: int) -> tuple[Shared, ...]:
        if (self.settings.passes if self.settings.steps is None else self.settings.steps) == 0:
            return ()
        settings = dataclasses.asdict(self.settings)
        drawn = seed if self.settings.seed is None else f"always {settings['seed']}"
        return (Shared.of(self.name, settings, config, drawn, labels=False),)

    def setup(self, model: Any, data: TrainingData) -> None:
        per_epoch = -(-len(data.encoded) // data.config.batch_size)
        steps = self.settings.steps if self.settings.steps is not None else round(self.settings.passes * per_epoch)
        if steps == 0:
            return
        (shared,) = self.shared(data.config, self.context.seed)
        weights = _weights(model)
        made = self.root.once(shared, lambda: _given(model, weights, data), lambda: self._make(model, data, steps))
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(made["weights"][name])
        first, last = made["losses"]
        self.notices.append(f"post-training: {steps} steps on masked tokens, loss {first:.3f} to {last:.3f}")

    def _make(self, model: Any, data: TrainingData, steps: int) -> dict[str, Any]:
        """The weights after the phase, and the loss of its first and last step."""
        device, seed = self.context.device, self.context.seed
        if self.settings.seed is not None:
            seed = derive(self.settings.seed, "noise")
        generator = torch_generator(device, seed, "method", self.name)
        head, given = _prediction_head(model, data)
        head.to(device).train()
        # dropout here must not shift the dropout of fine-tuning
        with forked(device, derive(seed, self.name, "dropout")):
            first, last = self._train(model, head, given, data, steps, generator)
        if not math.isfinite(last):
            raise UserError(
                f"post-training:rate: the loss on masked tokens is {last} after {steps} steps at "
                f"{self.settings.rate:g}; try a lower rate"
            )
        return {"weights": _weights(model), "losses": [first, last]}

    def _train(
        self, model: Any, head: Any, given: _Given, data: TrainingData, steps: int, generator: torch.Generator
    ) -> tuple[float, float]:
        """The loss of the first and of the last step."""
        encoder = submodules(model).backbone
        parameters = list({id(p): p for module in (encoder, head) for p in module.parameters()}.values())
        trainable = [p for p in parameters if p.requires_grad]
        groups = [
            {"params": [p for p in trainable if p.ndim > 1], "weight_decay": data.config.weight_decay},
            {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = make_optimizer(groups, data.config, self.context.device)
        schedule = dataclasses.replace(data.config, warmup=self.settings.rise)
        losses: list[Tensor] = []
        for step, batch in zip(range(steps), _forever(data, self.settings.seed), strict=False):
            set_learning_rate(optimizer, learning_rate_at(step, steps, schedule, self.settings.rate))
            loss = self._loss(encoder, head, given, batch, data.tokenizer, generator)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            nn.utils.clip_grad_norm_(trainable, data.config.clip_norm or math.inf)
            optimizer.step()
            optimizer.zero_grad()
            losses = [*losses[:1], loss.detach()]
        return float(losses[0]), float(losses[-1])

    def _loss(
        self, encoder: nn.Module, head: Any, given: _Given, batch: Batch, tokenizer: Any, generator: torch.Generator
    ) -> Tensor:
        vocabulary = _vocabulary_size(encoder)
        ids, labels = mask_tokens(
            batch.inputs["input_ids"], batch.special, tokenizer.mask_token_id, vocabulary, self.settings.mask,
            generator,
        )  # fmt: skip
        hidden = encoder(**{**batch.inputs, "input_ids": ids}).last_hidden_state
        wanted = labels != IGNORED
        # the projection to the vocabulary is the dearest part: only where something is predicted
        given.hidden = hidden[wanted][None]
        logits = head(input_ids=ids).logits[0]
        # a sum: a batch of short texts may have nothing chosen
        return F.cross_entropy(logits.float(), labels[wanted], reduction="sum") / max(1, len(logits))


def _vocabulary_size(encoder: Any) -> int:
    """The number of tokens the encoder knows."""
    return int(encoder.config.vocab_size)


def _forever(data: TrainingData, seed: int | None) -> Iterator[Batch]:
    """Batch after batch, every epoch in an order of its own."""
    for epoch in itertools.count():
        yield from data.batches(epoch, seed)


def _weights(model: Any) -> dict[str, Tensor]:
    """The encoder's weights that have a say in masked words: not those of the vector that the classifier reads."""
    parts = submodules(model)
    pooled = {id(parameter) for parameter in parts.dense.parameters()}
    return {name: weight for name, weight in parts.backbone.named_parameters() if id(weight) not in pooled}


def _given(model: Any, weights: dict[str, Tensor], data: TrainingData) -> list[Any]:
    """All that decides what the phase makes of a model, beside settings."""
    rows = data.encoded
    texts = dataclasses.replace(rows, labels=np.zeros(0), groups=None).fingerprint()
    frozen = [name for name, weight in weights.items() if not weight.requires_grad]
    folder = checkpoint_sha256(data.folder) if data.folder is not None else ""
    return [folder, config_sha256(model), tensors_sha256(weights), frozen, texts]


def _prediction_head(model: Any, data: TrainingData) -> tuple[Any, _Given]:
    """The checkpoint's masked-language model with its encoder taken out, tied to the classifier's embeddings."""
    from transformers import AutoModelForMaskedLM

    name = str(data.folder) if data.folder is not None else "a model given in memory"
    problem = UserError(
        f"post-training: {name} has no masked-language-model head; use a checkpoint that keeps it, such as "
        "bert-base-uncased or roberta-base"
    )
    if data.folder is None or data.tokenizer.mask_token_id is None:
        raise problem
    try:
        with forked():
            head, report = AutoModelForMaskedLM.from_pretrained(
                data.folder, use_safetensors=True, output_loading_info=True
            )
    except (ValueError, OSError) as error:
        raise problem from error
    if report["missing_keys"] or report["mismatched_keys"]:
        raise problem
    if head.config.tie_word_embeddings:
        head.get_output_embeddings().weight = submodules(model).word_embeddings.weight
    given = _Given()
    setattr(head, head.base_model_prefix, given)
    return head, given
