"""TDT (Zeng et al., Findings of ACL 2022): Task-guided Disentangled Tuning, with the hard variant of Appendix D.

A confidence layer scores every token. The positive variant of an input keeps confident tokens, the negative one the
others; predictions on the positive must be right and close to the original's, those on the negative far from both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from robusteval.components.divergence import kl
from robusteval.components.embeddings import edit_embeddings, per_token, repeated
from robusteval.errors import UserError
from robusteval.methods.base import Method, TrainingData, task_loss
from robusteval.models.architectures import submodules
from robusteval.models.encoding import Batch
from robusteval.settings.checks import check_choice, check_range


def distilled(e: Tensor, c: Tensor, mu0: Tensor) -> Tensor:
    """The positive variant e+ = c e + (1 - c) mu0 (Eq. 3); e [..., L, d], c [..., L], mu0 broadcasts to e.

    >>> distilled(torch.tensor([[1.0, 0.0], [3.0, 2.0]]), torch.tensor([0.25, 0.75]), torch.tensor([2.0, 1.0]))
    tensor([[1.7500, 0.7500],
            [2.7500, 1.7500]])
    """
    c = c[..., None]
    return c * e + (1 - c).mul(mu0)


def negative(e: Tensor, c: Tensor) -> Tensor:
    """The negative variant e- = (1 - c) e (Eq. 5); e [..., L, d], c [..., L]."""
    rest: Tensor = 1 - c[..., None]
    return rest * e


def penalty(c: Tensor, mask: Tensor, norm: str = "l2") -> Tensor:
    """||C||_2 of Eq. 4 over the marked tokens, a mean over the batch; c and mask [B, L].

    norm "rms" divides by the square root of the token count, so that long texts are not pushed harder.
    """
    length: Tensor = torch.linalg.vector_norm(c.float() * mask, dim=1)
    if norm == "rms":
        length = length / mask.sum(1).clamp(min=1).sqrt()
    return length.mean()


def triplet_loss(
    logits: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 0.0,
    *,
    neg_weight: float = 1.0,
    kl_dir: str = "paper",
    mean_over_classes: bool = False,
    hinge: str = "example",
) -> Tensor:
    """L_R = max(m + d(P+, P) - d(P-, P) - d(P-, P+), 0) (Eq. 6), a mean over the batch; logits [B, K].

    d(a, b) is KL(a || b), or KL(b || a) with kl_dir "code". With K = 1, scores, it is (a - b)^2.
    neg_weight: of the two subtracted terms; mean_over_classes: divides every KL by K.
    hinge "batch": one hinge on the mean over the batch in place of one per example.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        if a.shape[-1] == 1:
            return (a.float() - b.float()).squeeze(-1).square()
        value = kl(b, a) if kl_dir == "code" else kl(a, b)
        return value / a.shape[-1] if mean_over_classes else value

    apart = distance(negative, logits) + distance(negative, positive)
    inside = margin + distance(positive, logits) - neg_weight * apart
    return inside.mean().relu() if hinge == "batch" else inside.relu().mean()


def gumbel_argmax(logits: Tensor, uniform: Tensor, tau: float = 1.0) -> Tensor:
    """c = argmax of the Gumbel-softmax over two classes (Eq. 8, 9), straight-through; both [..., 2], result [...].

    The text takes the logarithm of the logits, undefined for negative ones; they are used as they are, log
    probabilities up to a constant. uniform: draws in [0, 1).
    """
    gumbel = -(-uniform.clamp(1e-10, 1 - 1e-7).log()).log()
    soft = ((logits.float() + gumbel) / tau).softmax(-1)[..., 1]
    return (soft > 0.5).to(soft.dtype) - soft.detach() + soft


def confidence_scores(model: Any, layer: nn.Module, batch: Batch, *, pre_position: bool = False) -> Tensor:
    """The score of every token, 0 at padding [B, L]; `layer` is the trained confidence layer. Dropout is off."""
    seen: list[Tensor] = []

    def remember(e: Tensor) -> Tensor:
        seen.append(e)
        return e

    training = model.training
    with torch.no_grad(), edit_embeddings(model, remember, words=pre_position):
        model.eval()(**batch.inputs)
    model.train(training)
    with torch.no_grad():
        raw: Tensor = layer(seen[0]).float()
    scores = raw.softmax(-1)[..., 1] if raw.shape[-1] == 2 else raw.squeeze(-1).sigmoid()
    return scores * batch.inputs["attention_mask"]


@dataclass(frozen=True)
class TDTSettings:
    """Defaults follow the equations; the released code's deviations are settings.

    alpha: weight of L_C (the positive variant's loss); beta: weight of L_R. The paper tunes .5, 2, 4 and .5, 1;
        the code's comments list the two grids the other way round, and the defaults lie in both.
    margin: m in Eq. 6 (0 or 2 in the paper).
    gamma: weight of the penalty in Eq. 4; the paper gives no value and the code has no penalty.
    norm: of the penalty: "l2" as in Eq. 4, "rms" independent of the text's length.
    mu0: what takes the place of unconfident tokens: the sentence's mean embedding, "zero", "gauss" (one standard
        normal vector per example), "vocab_mean" (the token table's mean) or the "mask" token.
    include_pads: the mean also runs over padding (code), so that training depends on the padded length.
    pre_position: score and mix the token table's output, not the whole embedding layer's.
    protect_special: keep [CLS] and [SEP] as they are in both variants.
    neg_weight: .5 in the code; kl_dir: "code" swaps the arguments of every KL.
    kl_mean_over_classes, hinge: "batch": the code's reductions, see `triplet_loss`.
    reg_distance: L_R for scores: "none" leaves it out, "mse" takes squared differences.
    """

    name: ClassVar[str] = "tdt"

    alpha: float = 0.5
    beta: float = 1.0
    margin: float = 0.0
    gamma: float = 0.0
    norm: Literal["l2", "rms"] = "l2"
    mu0: Literal["mean", "zero", "gauss", "vocab_mean", "mask"] = "mean"
    include_pads: bool = False
    pre_position: bool = False
    protect_special: bool = False
    neg_weight: float = 1.0
    kl_dir: Literal["paper", "code"] = "paper"
    kl_mean_over_classes: bool = False
    hinge: Literal["example", "batch"] = "example"
    reg_distance: Literal["none", "mse"] = "none"

    def __post_init__(self) -> None:
        for field in ("alpha", "beta", "margin", "gamma", "neg_weight"):
            check_range(f"{self.name}:{field}", getattr(self, field), 0, math.inf)
        check_choice(f"{self.name}:norm", self.norm, ("l2", "rms"))
        check_choice(f"{self.name}:mu0", self.mu0, ("mean", "zero", "gauss", "vocab_mean", "mask"))
        check_choice(f"{self.name}:kl_dir", self.kl_dir, ("paper", "code"))
        check_choice(f"{self.name}:hinge", self.hinge, ("example", "batch"))
        check_choice(f"{self.name}:reg_distance", self.reg_distance, ("none", "mse"))


@dataclass(frozen=True)
class TDTHardSettings(TDTSettings):
    """Token choice in place of token weighting (Appendix D); mu0 is then the [MASK] token.

    tau: temperature of the Gumbel-softmax (the paper gives none).
    neg_fill: chosen tokens become zero in the negative variant (Eq. 5), or "mask".
    """

    name: ClassVar[str] = "tdt-hard"

    mu0: Literal["mean", "zero", "gauss", "vocab_mean", "mask"] = "mask"
    tau: float = 1.0
    neg_fill: Literal["zero", "mask"] = "zero"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("tdt-hard:tau", self.tau, 0, math.inf, open_low=True)
        check_choice("tdt-hard:neg_fill", self.neg_fill, ("zero", "mask"))
        if self.neg_fill == "mask" and self.mu0 == "vocab_mean":
            raise UserError("tdt-hard:neg_fill: 'mask' cannot go with mu0=vocab_mean; valid here: zero")


class TDT(Method[TDTSettings]):
    """Original, positive and negative go through the model as one batch of 3B; prediction is the original's. 9F.

    `modules["confidence"]` is the trained layer; it is never part of the checkpoint. Its state_dict, in a file of
    its own beside it, is what `confidence_scores` needs later.
    """

    Settings: ClassVar[type[Any]] = TDTSettings
    outputs = 1

    @property
    def keeps(self) -> tuple[str, ...]:
        return ("confidence",)

    def setup(self, model: Any, data: TrainingData) -> None:
        """Make the confidence layer, weights N(0, .02) from the method's own generator, bias 0."""
        parts = submodules(model)
        normalise = None if self.settings.pre_position else getattr(parts.embeddings, "LayerNorm", None)
        width = parts.word_embeddings.embedding_dim if normalise is None else len(normalise.weight)
        # nn.Linear itself would draw from the generator that dropout uses
        layer = nn.Linear(width, self.outputs, device="meta").to_empty(device=self.context.device)
        with torch.no_grad():
            layer.weight.normal_(0, 0.02, generator=self.generator)
            layer.bias.zero_()
        for name in ("weight", "bias"):
            # no parameters: what confidence was before training is told from them
            layer.register_buffer(f"start_{name}", getattr(layer, name).detach().clone())
        self.equip(layer, data.tokenizer, int(data.encoded.lengths.max()))
        parts_of_batch = data.config.accumulation
        if parts_of_batch > 1 and self.settings.hinge == "batch" and self._compared():
            self.notices.append(
                f"{self.name}: the hinge is on the mean of a micro-batch, {parts_of_batch} of which make a batch"
            )

    def equip(self, layer: nn.Module, tokenizer: Any, longest: int) -> None:
        """All that `branches` needs; longest: tokens of the longest row that it will see."""
        self.modules["confidence"] = layer
        self._longest = longest
        self._mask_id = tokenizer.mask_token_id
        if self._mask_id is None and self.needs_mask_token():
            raise UserError(f"{self.name}:mu0: the tokenizer has no mask token; valid: mean, zero, gauss, vocab_mean")

    def needs_mask_token(self) -> bool:
        return self.settings.mu0 == "mask"

    def _compared(self) -> bool:
        """Whether L_R is part of the loss."""
        return self.settings.beta > 0 and (not self.context.regression or self.settings.reg_distance != "none")

    def confidence(self, model: Any, batch: Batch) -> Tensor:
        """The score of every token, 0 at padding [B, L]."""
        return confidence_scores(model, self.modules["confidence"], batch, pre_position=self.settings.pre_position)

    def loss(self, model: Any, batch: Batch) -> Tensor:
        """L_cla + alpha L_C + beta L_R (Eq. 7)."""
        settings = self.settings
        compared = self._compared()
        if settings.alpha == 0 and not compared:
            return super().loss(model, batch)
        logits, c = self.branches(model, batch, 3 if compared else 2)
        mask = self._eligible(batch)
        total = task_loss(logits[0], batch.labels)
        self.logged = {"confidence": (c.detach() * mask).sum() / mask.sum().clamp(min=1)}
        if settings.alpha > 0:
            loss_c = task_loss(logits[1], batch.labels)
            if settings.gamma > 0:
                loss_c = loss_c + settings.gamma * penalty(c, mask, settings.norm)
            total = total + settings.alpha * loss_c
            self.logged["loss_c"] = loss_c.detach()
        if compared:
            # one hinge for the whole micro-batch needs all its rows
            apart = [self.context.gather(each) for each in logits] if settings.hinge == "batch" else logits
            loss_r = triplet_loss(
                apart[0], apart[1], apart[2], settings.margin, neg_weight=settings.neg_weight,
                kl_dir=settings.kl_dir, mean_over_classes=settings.kl_mean_over_classes, hinge=settings.hinge,
            )  # fmt: skip
            total = total + settings.beta * loss_r
            self.logged["loss_r"] = loss_r.detach()
        return total

    def branches(self, model: Any, batch: Batch, branches: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Logits of original, positive and perhaps negative variant, each [B, K], and the scores [B, L]."""
        settings, real = self.settings, batch.inputs["attention_mask"].bool()
        inputs = repeated(batch.inputs, branches)
        if self.needs_mask_token():
            # the second branch's own embeddings are not needed: [MASK] passes there, with the same positions
            masked = batch.inputs["input_ids"].masked_fill(real, self._mask_id)
            inputs["input_ids"][len(batch) : 2 * len(batch)] = masked
        average = submodules(model).word_embeddings.weight.detach().mean(0) if settings.mu0 == "vocab_mean" else None
        scores: list[Tensor] = []

        def spread(e: Tensor) -> Tensor:
            if average is None:
                return e
            first, second, *rest = e.chunk(branches)
            return torch.cat([first, average.expand_as(second), *rest])

        def variants(e: Tensor) -> Tensor:
            original, fill = e.chunk(branches)[:2]
            c = self._score(original, real)
            scores.append(c)
            made = [distilled(original, c, self._mu0(original, fill, real)), self._negative(original, c, fill)]
            if settings.protect_special:
                made = [torch.where(batch.special[:, :, None], original, each) for each in made]
            return torch.cat([original, *made[: branches - 1]])

        with (
            edit_embeddings(model, spread, words=True),
            edit_embeddings(model, variants, words=settings.pre_position),
        ):
            logits = self.logits(model, inputs, batch.labels, branches=branches)
        return logits.chunk(branches), scores[0]

    def _eligible(self, batch: Batch) -> Tensor:
        """Tokens whose score matters [B, L]."""
        return ~batch.special if self.settings.protect_special else batch.inputs["attention_mask"].bool()

    def _score(self, e: Tensor, real: Tensor) -> Tensor:
        """c of Eq. 2 [B, L]."""
        raw: Tensor = self.modules["confidence"](e)
        return raw.float().squeeze(-1).sigmoid()

    def _mu0(self, e: Tensor, fill: Tensor, real: Tensor) -> Tensor:
        """The perturbation term of Eq. 3, [B, 1, d] or [B, L, d]."""
        kind = self.settings.mu0
        if kind == "zero":
            return torch.zeros_like(e[:, :1])
        if kind == "gauss":
            return self.context.drawn(
                len(e), lambda rows: torch.randn(rows, 1, e.shape[2], generator=self.generator, device=e.device)
            )
        if kind == "mean":
            weight = torch.ones_like(real) if self.settings.include_pads else real
            return (e * weight[:, :, None]).sum(1, keepdim=True) / weight.sum(1)[:, None, None]
        return fill

    def _negative(self, e: Tensor, c: Tensor, fill: Tensor) -> Tensor:
        return negative(e, c)


class TDTHard(TDT):
    """Tokens are kept or replaced whole: c is 0 or 1, drawn by Gumbel-softmax, with straight-through gradients. 9F."""

    Settings = TDTHardSettings
    outputs = 2
    settings: TDTHardSettings

    def needs_mask_token(self) -> bool:
        return super().needs_mask_token() or self.settings.neg_fill == "mask"

    def _score(self, e: Tensor, real: Tensor) -> Tensor:
        draws = self.context.drawn(
            len(e), lambda rows: torch.rand(rows, self._longest, 2, generator=self.generator, device=e.device)
        )
        return gumbel_argmax(self.modules["confidence"](e), per_token(draws, real), self.settings.tau)

    def _negative(self, e: Tensor, c: Tensor, fill: Tensor) -> Tensor:
        if self.settings.neg_fill == "mask":
            return negative(e, c) + c[..., None] * fill
        return negative(e, c)
