"""Hand-computed numbers and stated facts of the methods that act on weights, gradients and updates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robusteval.components.kth_largest import kth_largest, percentile_count
from robusteval.components.masks import Keeper, byte_rate, random_mask, sparse_normals
from robusteval.components.update_rules import adam_moments, adamax_direction, with_rule
from robusteval.errors import UserError
from robusteval.methods import METHODS, bidrop, childtuning, dps, noisytune, pats, post_training, recadam, sage
from robusteval.methods import mixout as mixout_module
from robusteval.methods import prior_weight_decay as prior
from robusteval.methods.compose import build_method
from robusteval.settings.runs import MethodConfig
from support import tiny
from support.fitting import differing, fit, weights

YES, NO = True, False


def t(*values: Any) -> Tensor:
    return torch.tensor(values)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def adamw_numbers(**settings: Any) -> dict[str, Any]:
    """One step from 1 with gradient 0.5; and a weight whose gradient is masked in its second step."""
    theta = nn.Parameter(torch.ones(()))
    optimizer = torch.optim.AdamW([theta], lr=0.1, eps=1e-6, weight_decay=0)
    theta.grad = torch.tensor(0.5)
    optimizer.step()
    numbers = {"after one step": theta.item()}
    for scope in ("grad", "update"):
        theta = nn.Parameter(torch.zeros(()))
        optimizer, keeper = torch.optim.AdamW([theta], lr=1.0, weight_decay=0), Keeper()
        theta.grad = torch.tensor(1.0)
        optimizer.step()
        before = theta.item()
        theta.grad = torch.tensor(0.0)
        if scope == "update":
            keeper.hold(theta, torch.tensor(False))
        optimizer.step()
        keeper.restore()
        numbers[scope] = before - theta.item()
    return numbers


def prior_numbers(lam: float, rate: float) -> dict[str, Any]:
    theta, anchor = t(2.0, 1.0), t(1.0, 1.0)
    gradient = prior.penalty_gradient(theta, anchor, lam)
    return {"gradient": gradient, "shift": prior.pull(theta.clone(), anchor, lam, rate) - theta}


def mixout_numbers(p: float, factor: float) -> dict[str, Any]:
    w, u = t(2.0, 2.0).requires_grad_(), t(1.0, 1.0)
    mixed = mixout_module.mix(mixout_module.scale_gradient(w, factor), u, t(False, True), p)
    mixed.sum().backward()
    return {"mixed": mixed.detach(), "mean": mixed.detach().mean(), "gradient": w.grad}


def recadam_numbers(**settings: Any) -> dict[str, Any]:
    return {
        "at t0": recadam.anneal(torch.tensor(250.0), **settings),
        "ten later": recadam.anneal(torch.tensor(260.0), **settings),
        "recalled": recadam.recall(torch.tensor(1.0), torch.tensor(0.0), 1e-5 * 5000),
        "RTE never exceeds": recadam.anneal(torch.tensor(468.0), "sigmoid", 0.05, 500.0),
    }


def child_numbers(p: float) -> dict[str, Any]:
    gradient, mask = childtuning.drop_gradient(torch.ones(100_000), p, seeded())
    return {"mean": gradient.mean(), "rate": mask.float().mean(), "value": gradient.max()}


def fisher_numbers(keep: float) -> dict[str, Any]:
    fisher = [t(1.0, 2.0), t(3.0, 4.0)]
    return {"mask": torch.cat(childtuning.fisher_mask(fisher, keep)).tolist(), "count": percentile_count(4, keep)}


def dps_numbers(keep: float) -> dict[str, Any]:
    ten = torch.randn(10, generator=seeded())
    w, u = t(2.0, 2.0), t(1.0, 1.0)
    return {
        "stage I": [dps.scoring(step, 2) for step in range(5)],
        "mask": dps.top_mask(t(4.0, 1.0, 3.0, 2.0), keep).tolist(),
        "of ten": int(dps.top_mask(ten, keep).sum()),
        "mixed": mixout_module.mix(w, u, t(True, False), 1 - keep),
        "score": dps.mean_score(t(8.0), t(4.0), 2),
        "long span": dps.mean_score(t(8.0), t(50.0), 50) * 50 / 8,
    }


def noise_numbers(lam: float) -> dict[str, Any]:
    noise = noisytune.tensor_noise(torch.arange(1.0, 4.0).repeat(20_000, 1), lam, seeded())
    std = torch.arange(1.0, 4.0).repeat(20_000, 1).std()
    one = noisytune.tensor_noise(t(1.0, 2.0, 3.0), lam, seeded())
    return {"std": t(1.0, 2.0, 3.0).std(), "bounded": bool(one.abs().max() <= 0.5 * lam), "sd": noise.std() / std}


def sage_numbers(beta3: float) -> dict[str, Any]:
    average, raw, corrected = torch.zeros(()), [], []
    for step, sensitivity in enumerate((0.1, 0.1, 0.4), 1):
        value = torch.tensor(sensitivity)
        average = beta3 * average + (1 - beta3) * value
        raw.append(sage.factor(value, average, code=True))
        corrected.append(sage.factor(value, average / (1 - beta3**step), code=True))
    return {"raw": raw, "corrected": corrected, "of zero": sage.factor(torch.zeros(()), torch.zeros(()))}


def masking_numbers(rate: float) -> dict[str, Any]:
    ids, special = torch.full((200, 100), 7), torch.zeros(200, 100, dtype=torch.bool)
    special[:, 0] = True
    masked, labels = post_training.mask_tokens(ids, special, 4, 50, rate, seeded())
    chosen = labels != -100
    return {
        "special": bool(chosen[:, 0].any()),
        "untouched": torch.equal(masked[~chosen], ids[~chosen]) and set(labels.unique().tolist()) == {-100, 7},
        "chosen": chosen[:, 1:].float().mean(),
        "masks": (masked[chosen] == 4).float().mean(),
        "uniform": F.cross_entropy(torch.zeros(3, 50), t(1, 2, 3)),
    }


def pats_numbers(**settings: Any) -> dict[str, Any]:
    signed = settings.pop("signed", False)
    theta, gradient = t(1.0, -2.0), t(0.1, 0.2)
    average = pats.update_sensitivity(torch.zeros(2), theta, gradient, 0.75, signed=signed)
    sd = pats.noise_std(average, 2e-6, 2e-3, **settings)
    equal = pats.noise_std(torch.full((5,), 0.3), 2e-6, 2e-3) ** 2
    return {"average": average, "mean": average.mean(), "R": sd**2, "sd": sd, "equal": equal[0] / 2e-6}


def bidrop_scores(gradients: list[torch.Tensor], theta: torch.Tensor, variant: str) -> torch.Tensor:
    """F of Eq. 9, or one factor of it, of k gradients."""
    mean = sum(gradients[1:], gradients[0]) / len(gradients)
    score = bidrop.rank_scores(mean, bidrop.deviation(gradients), theta, variant)
    return score.square() if variant == "ess" else score


def bidrop_numbers(keep: float) -> dict[str, Any]:
    first, second, theta = t(0.4, 0.3, -0.2, 0.3), t(0.2, 0.1, 0.2, 0.1), t(1.0, 2.0, 0.5, -0.1)
    scores = {v: bidrop_scores([first, second], theta, v) for v in ("perturbation", "scaling", "ess")}
    mask = scores["ess"] >= kth_largest([scores["ess"]], max(1, round(keep * len(theta))))
    three = bidrop_scores([first, second, second], theta, "perturbation")
    mean = (first + 2 * second) / 3
    spread = ((first - mean) ** 2 + 2 * (second - mean) ** 2).sqrt()
    return {**scores, "update": (first + second) / 2 * mask, "k=3": three - mean.abs() / spread}


# (method, settings, how to compute, facts)
NUMBERS: list[tuple[str, dict[str, Any], Callable[..., dict[str, Any]], dict[str, Any]]] = [
    ("vanilla", {}, adamw_numbers, {"after one step": 0.9000002, "grad": 0.67006, "update": 0.0}),
    ("prior-wd", {"lam": 0.5, "rate": 0.1}, prior_numbers, {"gradient": [0.5, 0.0], "shift": [-0.05, 0.0]}),
    ("mixout", {"p": 0.5, "factor": 1.0}, mixout_numbers, {"mixed": [1.0, 3.0], "mean": 2.0, "gradient": [0.0, 2.0]}),
    ("mixout", {"p": 0.5, "factor": 0.5}, mixout_numbers, {"mixed": [1.0, 3.0], "gradient": [0.0, 1.0]}),
    ("recadam", {}, recadam_numbers, {"at t0": 0.5, "ten later": 0.993307, "recalled": 0.95,
                                      "RTE never exceeds": 0.167982}),
    ("recadam", {"fun": "constant"}, recadam_numbers, {"at t0": 1.0, "ten later": 1.0}),
    ("recadam", {"fun": "linear", "t0": 500.0}, recadam_numbers, {"at t0": 0.5, "ten later": 0.52}),
    ("child-f", {"p": 0.3}, child_numbers, {"value": 256 / 77}),
    ("child-d", {"keep": 0.5}, fisher_numbers, {"mask": [NO, NO, YES, YES], "count": 2}),
    ("child-d", {"keep": 0.3}, fisher_numbers, {"mask": [NO, NO, NO, YES], "count": 1}),
    ("child-d", {"keep": 1.0}, fisher_numbers, {"mask": [YES] * 4, "count": 4}),
    ("dps", {"keep": 0.5}, dps_numbers, {"stage I": [YES, YES, NO, NO, YES], "mask": [YES, NO, YES, NO],
                                         "mixed": [3.0, 1.0], "score": [2.0], "long span": [math.exp(-1)]}),
    ("dps", {"keep": 0.7}, dps_numbers, {"of ten": 7}),
    ("noisytune", {"lam": 0.15}, noise_numbers, {"std": 1.0, "bounded": True}),
    ("sage", {"beta3": 0.75}, sage_numbers, {"raw": [3.0, 1.285714, 2.011765], "corrected": [0.0, 0.0, 0.741176],
                                             "of zero": 1.0}),
    ("post-training", {"rate": 0.15}, masking_numbers, {"special": False, "untouched": True, "uniform": math.log(50)}),
    ("pats", {}, pats_numbers, {"average": [0.025, 0.1], "mean": 0.0625, "R": [4.996e-6, 1.246e-6],
                                "sd": [2.235e-3, 1.116e-3], "equal": 0.998}),
    # Algorithm 1 without the absolute value; its sum is -0.3, so only the weight of that sign gets noise
    ("pats", {"signed": True}, pats_numbers, {"average": [0.025, -0.1], "R": [0.0, 7.46e-7]}),
    ("pats", {"sd": "r"}, pats_numbers, {"sd": [4.996e-6, 1.246e-6]}),
    ("pats", {"max_ratio": 1.0}, pats_numbers, {"R": [1.996e-6, 1.246e-6]}),
    ("bidrop", {"keep": 0.5}, bidrop_numbers, {
        "perturbation": [2.12132, 1.41421, 0.0, 1.41421], "scaling": [0.3, 0.1, 0.0, 2.0],
        "ess": [0.636396, 0.141421, 0.0, 2.828427], "update": [0.3, 0.0, 0.0, 0.2], "k=3": [0.0] * 4,
    }),
]  # fmt: skip


# names without addresses: processes that share the work must agree on them
@pytest.mark.parametrize(
    ("method", "settings", "compute", "facts"), NUMBERS, ids=lambda value: getattr(value, "__name__", str(value)[:30])
)
def test_numbers(method: str, settings: dict[str, Any], compute: Callable[..., Any], facts: dict[str, Any]) -> None:
    assert method in METHODS
    found = compute(**settings)
    for name, expected in facts.items():
        if isinstance(expected, float) or (isinstance(expected, list) and isinstance(expected[0], float)):
            got = torch.as_tensor(found[name], dtype=torch.float64).reshape(-1)
            wanted = torch.tensor(expected, dtype=torch.float64).reshape(-1)
            # variances of 1e-6 need a finer bound than numbers around 1
            tiny_values = 0 < wanted.abs().max() < 1e-3
            torch.testing.assert_close(got, wanted, rtol=5e-4, atol=1e-10 if tiny_values else 5e-7)
        else:
            assert found[name] == expected, name


def test_random_rates() -> None:
    """Within four standard errors: masked gradients keep their mean, NoisyTune its deviation, PATS its share."""
    child = child_numbers(0.3)
    assert byte_rate(0.3) == 77 / 256
    assert abs(float(child["mean"]) - 1) < 4 * 0.0048
    assert abs(float(noise_numbers(0.15)["sd"]) - 0.0433) < 4e-4
    masking = masking_numbers(0.15)
    assert abs(float(masking["chosen"]) - 0.15) < 0.011
    assert abs(float(masking["masks"]) - 0.8) < 0.03
    mask = random_mask((300, 333), 0.2, seeded())
    noise = sparse_normals(mask, seeded())
    assert torch.equal(noise != 0, mask)
    assert abs(float(noise[mask].std()) - 1) < 0.02
    assert random_mask((3, 5), 1.0, seeded()).all()


@pytest.mark.parametrize("variant", ["ess", "perturbation", "scaling"])
@pytest.mark.parametrize("k", [2, 3])
def test_bidrop_ranks_at_any_scale(variant: str, k: int) -> None:
    """Gradients of 1e-20 to 1e6 and weights down to 0: as in float64, never NaN, 0 for a zero mean alone."""
    count, eps = 4000, 1e-12
    scale = 10.0 ** torch.linspace(-20, 6, count).repeat(3)
    gradients = [torch.randn(3 * count, generator=seeded(seed)) * scale for seed in range(k)]
    weights = torch.randn(3 * count, generator=seeded(9)) * torch.tensor([1.0, 1e-6, 0.0]).repeat_interleave(count)
    gradients[1][::7] = gradients[0][::7]
    for gradient in gradients:
        gradient[::11] = 0
    mean = sum(gradients[1:], gradients[0]) / k
    ranked = bidrop.rank_scores(mean, bidrop.deviation(gradients), weights, variant, eps)
    assert torch.isfinite(ranked).all()
    assert torch.equal(ranked == 0, mean == 0)
    exact = [gradient.double() for gradient in gradients]
    middle = mean.double()
    f_per = middle.abs() / (sum((g - sum(exact) / k) ** 2 for g in exact).sqrt() + eps)
    f_sca = middle.abs() / (weights.double().abs() + eps)
    expected = {"ess": (f_per * f_sca).sqrt(), "perturbation": f_per, "scaling": f_sca}[variant]
    torch.testing.assert_close(ranked.double(), expected, rtol=1e-5, atol=0)


def test_own_rules_are_the_optimizers_own() -> None:
    """The shared pieces of SAGE, RecAdam and PATS follow torch's AdamW and Adamax."""

    def adamw(parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
        step, first, second, correction = adam_moments(parameter, state, group)
        denominator = second.sqrt() + group["eps"] * (1 - group["betas"][1] ** step).sqrt()
        parameter.sub_(group["lr"] * correction * first / denominator)

    def adamax(parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
        parameter.sub_(group["lr"] * adamax_direction(parameter, state, group))

    for kind, rule in ((torch.optim.AdamW, adamw), (torch.optim.Adamax, adamax)):
        one, two = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
        plain, ruled = (kind([p], lr=0.01, weight_decay=0.0) for p in (one, two))
        with_rule(ruled, [two], rule)
        for seed in range(4):
            one.grad = torch.randn(5, generator=seeded(seed))
            two.grad = one.grad.clone()
            plain.step()
            ruled.step()
            assert two.grad is not None
        torch.testing.assert_close(one, two)


def test_where_eps_is_added() -> None:
    """In RecAdam to sqrt(v) before the bias correction, as in the released code, in vanilla's AdamW after it."""
    theta = nn.Parameter(torch.ones(()))
    theta.grad = torch.tensor(0.5)
    method: Any = build_method(MethodConfig.parse("recadam:fun=constant"))
    method._adamax, method._anchors = False, {theta: torch.ones(())}
    with torch.no_grad():
        method._step(theta, {}, {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.0})
    assert theta.item() == pytest.approx(0.9000063, abs=2e-6)
    assert adamw_numbers()["after one step"] == pytest.approx(0.9000002, abs=2e-6)


def trained(text: str, **settings: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    loaded = tiny.loaded()
    before = weights(loaded)
    return before, weights(fit(text, loaded=loaded, **settings))


def test_top_k_freezes_what_lies_below() -> None:
    before, after = trained("top-k:layers=1", max_steps=3)
    moved = set(differing(before, after))
    frozen = {name for name in before if "embeddings" in name or ".layer.0." in name}
    assert moved == {name for name in before if name not in frozen}
    with pytest.raises(UserError, match="top-k:layers: 9 is more than the 2"):
        fit("top-k:layers=9")


def test_child_d_leaves_the_rest_alone() -> None:
    """Outside the sub-network weights are bit for bit the pretrained ones; decay alone moves them on request."""
    before, after = trained("child-d:p=0.3")
    blocks = [name for name in before if ".encoder.layer." in name]
    same = sum(int((before[name] == after[name]).sum()) for name in blocks)
    total = sum(before[name].numel() for name in blocks)
    assert abs(same / total - 0.7) < 0.01
    name = "bert.encoder.layer.1.output.dense.weight"
    decayed = trained("child-d:p=0.3:decay_masked=true", max_steps=2, weight_decay=0.5)
    unmasked = trained("child-d:p=0.3", max_steps=2, weight_decay=0.5)
    held = unmasked[1][name] == before[name]
    # two steps, the first of the warm-up with rate 0, the second with the peak rate 1e-3
    torch.testing.assert_close(decayed[1][name][held], before[name][held] * (1 - 1e-3 * 0.5), rtol=1e-6, atol=1e-9)


def test_fisher_of_examples_is_not_that_of_their_mean() -> None:
    """Gradients +1 and -1: per example the Fisher information is 2 x 1, of the batch mean 0."""
    gradients = t(1.0, -1.0)
    assert (gradients**2).mean() == 1
    assert gradients.mean() ** 2 == 0
    masks = []
    for kind in ("batch", "per_example"):
        method = build_method(MethodConfig.parse(f"child-d:fisher={kind}:fisher_train_mode=false"))
        fit("child-d", method=method, max_steps=1)
        masks.append(method.state_dict()["masks"])
    assert any(not torch.equal(masks[0][name], masks[1][name]) for name in masks[0])


def test_recadam_refuses_to_diverge() -> None:
    with pytest.raises(UserError, match="recadam:gamma: 5000 at learning rate 0.001 diverges"):
        fit("recadam")
    method = build_method(MethodConfig.parse("recadam:t0=250"))
    fit("recadam", method=method, learning_rate=1e-4)
    assert "never exceeds" in method.notices[0]


def test_post_training_names_the_model() -> None:
    with pytest.raises(UserError, match="has no masked-language-model head"):
        fit("post-training")


@pytest.mark.parametrize("pair", ["pats+sage", "bidrop+child-d", "prior-wd+dps", "sage+recadam"])
def test_methods_of_one_hook_do_not_mix(pair: str) -> None:
    with pytest.raises(UserError, match="cannot be combined"):
        build_method(MethodConfig.parse(pair))


WRONG = (
    "pats:p=2 bidrop:keep=0 dps:ratio=0 mixout:p=1 child-f:p=0 sage:beta3=1 recadam:t0=0 noisytune:lam=-1 "
    "prior-wd:mode=los post-training:mask=0 child-d:max_examples=0 top-k:layers=-1"
)


@pytest.mark.parametrize("text", WRONG.split())
def test_settings_are_checked_by_name(text: str) -> None:
    with pytest.raises(UserError, match=text.split("=")[0]):
        build_method(MethodConfig.parse(text))
