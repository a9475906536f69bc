"""Fine-tuning methods: one file each, one registration line each; `robusteval.registry` says how others are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robusteval.registry import Registry

if TYPE_CHECKING:
    from robusteval.methods.base import Method

METHODS: Registry[type[Method[Any]]] = Registry("method", "robusteval.methods.base:Method", ("robusteval.methods",))


def _register(name: str, target: str, summary: str, hook: str, cost: str, regression: str = "yes") -> None:
    METHODS.add(name, f"robusteval.methods.{target}", summary, hook=hook, cost=cost, regression=regression)


_register("vanilla", "vanilla:Vanilla", "plain fine-tuning", hook="-", cost="3F")
_register(
    "match",
    "match:Match",
    "MATCH-TUNING: in-batch composite representations",
    hook="representation",
    cost="3F",
)
_register("tdt", "tdt:TDT", "TDT: token confidence and a triplet loss", hook="loss", cost="9F")
_register("tdt-hard", "tdt:TDTHard", "TDT with tokens kept or replaced whole (Gumbel-softmax)", hook="loss", cost="9F")
_register("r3f", "r3f:R3F", "noise on word embeddings, symmetric KL", hook="loss", cost="6F", regression="as vanilla")
_register("rdrop", "rdrop:RDrop", "R-Drop: two dropout masks, symmetric KL", hook="loss", cost="6F")
_register(
    "cutoff", "cutoff:Cutoff", "token, span or feature cutoff", hook="loss", cost="6F", regression="without divergence"
)
_register("freelb", "freelb:FreeLB", "adversarial ascent on word embeddings", hook="backward", cost="3F K")
_register("smart", "smart:Smart", "smoothness-inducing adversarial regularisation", hook="loss", cost="6F + 2F K")
_register(
    "groupdro", "groupdro:GroupDRO", "group weights follow the group losses", hook="loss", cost="3F",
    regression="with groups, else vanilla",
)  # fmt: skip
_register("double-batch", "double_batch:DoubleBatch", "vanilla with twice the batch size", hook="-", cost="6F")
_register(
    "prior-wd", "prior_weight_decay:PriorWeightDecay", "weight decay toward pretrained weights", "before_step", "3F"
)
_register("top-k", "top_k:TopK", "train the top K encoder blocks only", "-", "F + 2F K/L")
_register("mixout", "mixout:Mixout", "weights replaced by the pretrained ones at random", "forward", "3F")
_register("recadam", "recadam:RecAdam", "RecAdam: recall the pretrained weights, then fine-tune", "optimizer", "3F")
_register("child-f", "childtuning:ChildF", "ChildTuning-F: a random sub-network every step", "before_step", "3F")
_register(
    "child-d", "childtuning:ChildD", "ChildTuning-D: a sub-network fixed by Fisher", "before_step", "3F + 1 epoch"
)
_register("dps", "dps:Dps", "DPS dense: sub-networks chosen anew in cycles", "before_step", "3F")
_register("dps-mix", "dps:DpsMix", "DPS mix: the same with Mixout", "before_step", "3F")
_register("noisytune", "noisytune:NoisyTune", "noise on the pretrained weights, once", "-", "3F")
_register("sage", "sage:Sage", "SAGE: a learning rate for every weight", "optimizer", "3F")
_register("post-training", "post_training:PostTraining", "masked language modelling first", "-", "3F + MLM phase")
_register("pats", "pats:Pats", "PATS: noise on the least sensitive weights", "optimizer", "3F")
_register("bidrop", "bidrop:BiDrop", "Bi-Drop: the sub-network that dropout agrees on", "backward", "3F k")
_register("bidrop-perturbation", "bidrop:BiDropPerturbation", "Bi-Drop, perturbation factor alone", "backward", "3F k")
_register("bidrop-scaling", "bidrop:BiDropScaling", "Bi-Drop, scaling factor alone", "backward", "3F k")
_register("bidrop-random", "bidrop:BiDropRandom", "Bi-Drop, weights drawn by lot (RSS)", "backward", "3F k")
_register("bidrop-gavg", "bidrop:BiDropAverage", "Bi-Drop, mean gradient on all weights", "backward", "3F k")
