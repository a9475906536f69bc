"""Real rows: counts, label orders proved by the words of the rows, and Chinese tasks from training to suites."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

import robusteval
from robusteval.errors import UserError
from robusteval.settings.data import DataConfig
from robusteval.tasks import TASKS
from robusteval.tasks.base import Examples
from robusteval.tasks.load import load_split, load_task
from support import tiny

# rows per class, in the order of the labels, as the description of the data gives them or as counted in the source
DEV_COUNTS: dict[tuple[str, str], tuple[int, ...]] = {
    ("snli", "validation"): (3329, 3235, 3278),
    ("snli", "test"): (3368, 3219, 3237),
    ("sick", "validation"): (143, 281, 71),
    ("sick", "test"): (1404, 2790, 712),
    ("mnli", "validation_matched"): (3479, 3123, 3213),
    ("ocnli", "validation"): (1103, 947, 900),
    ("cmnli", "validation"): (3926, 4277, 4038),
    ("afqmc", "validation"): (2978, 1338),
    ("tnews", "validation"): (215, 736, 910, 767, 956, 378, 791, 646, 1089, 716, 693, 905, 45, 494, 659),
    ("bustm", "validation"): (6963, 3037),
    ("fewclue-bustm", "test_public"): (886, 886),
    ("fewclue-csl", "test_public"): (1419, 1419),
}
ADVGLUE = {"sst2": 148, "mnli": 121, "mnli_mismatched": 162, "rte": 81, "qnli": 148, "qqp": 78}


def rows(name: str, split: str, data_dir: Path) -> Examples:
    return load_split(TASKS[name], split, DataConfig(data_dir=str(data_dir)))


@pytest.mark.parametrize(("name", "split"), list(DEV_COUNTS))
def test_rows_per_class(name: str, split: str, data_dir: Path) -> None:
    counts = np.bincount(rows(name, split, data_dir).labels.astype(int), minlength=TASKS[name].num_labels)
    assert tuple(counts.tolist()) == DEV_COUNTS[name, split]


@pytest.mark.parametrize(("name", "count"), list(ADVGLUE.items()))
def test_advglue_counts(name: str, count: int, data_dir: Path) -> None:
    assert len(rows(f"adv_{name}", "validation", data_dir)) == count


def test_all_119_classes_of_iflytek(data_dir: Path) -> None:
    data = load_task("fewclue-iflytek", DataConfig(data_dir=str(data_dir)))
    assert (len(data.train), len(data.dev)) == (3024, 1373)
    assert len(np.unique(data.train.labels)) == data.task.num_labels == 119


def test_a_few_shot_split_never_stands_in_for_the_full_one(data_dir: Path) -> None:
    for name in ("csl", "iflytek"):
        with pytest.raises(UserError, match=f"has no clue/{name}/train.parquet"):
            load_task(name, DataConfig(data_dir=str(data_dir)))


@pytest.mark.parametrize(
    ("name", "split", "row", "label"),
    [
        # a factory's padded coat on the body: at least one garment
        ("ocnli", "validation", ("身上裹一件工厂发的棉大衣,手插在袖筒里", "身上至少一件衣服"), "entailment"),
        # the audience knows her from every time she came: she is here for the first time
        ("ocnli", "validation", ("因为咱们请来了一个真正的专家,李玫瑾老师,每次观众都知道李老师一来,大的案件就发生了",
                                 "李玫瑾老师第一次参加这个节目。"), "contradiction"),
        # tight budgets in some places: the places went through a crisis
        ("ocnli", "validation", ("一些地方财政收支矛盾较大", "地方经历了经济危机"), "neutral"),
        ("fewclue-bustm", "test_public", ("喊我老公", "以后就叫我老公"), "same_intent"),
        ("fewclue-bustm", "test_public", ("开启放屁声", "羊叫的声音"), "different_intent"),
        ("tnews", "validation", ("第71届戛纳国际电影节开幕 代际更新势不可挡",), "entertainment"),
        ("tnews", "validation", ("詹姆斯连续六年季后赛完成一次横扫",), "sports"),
        ("tnews", "validation", ("直18竟在未服役的新航母上训练",), "military"),
        ("snli", "validation", ("Two women are embracing while holding to go packages.",
                                "Two woman are holding packages."), "entailment"),
        ("snli", "validation", ("Two women are embracing while holding to go packages.",
                                "The men are fighting outside a deli."), "contradiction"),
        ("sick", "validation", ("The young boys are playing outdoors and the man is smiling nearby",
                                "There is no boy playing outdoors and there is no man smiling"), "contradiction"),
    ],
)  # fmt: skip
def test_rows_whose_label_is_plain(name: str, split: str, row: tuple[str, ...], label: str, data_dir: Path) -> None:
    examples = rows(name, split, data_dir)
    found = [i for i in range(len(examples)) if examples.text(i) == row]
    assert [TASKS[name].labels[int(examples.labels[i])] for i in found] == [label]


def by_class(name: str, split: str, data_dir: Path, measure: Callable[..., float]) -> dict[str, float]:
    """Mean of a measure of the texts over the rows of each class."""
    examples = rows(name, split, data_dir)
    values = np.asarray([measure(*examples.text(i)) for i in range(len(examples))], float)
    return {label: float(values[examples.labels == k].mean()) for k, label in enumerate(TASKS[name].labels)}


def shared_characters(first: str, second: str) -> float:
    return len(set(first) & set(second)) / len(set(second))


def shared_words(first: str, second: str) -> float:
    words = set(second.lower().split())
    return len(set(first.lower().split()) & words) / len(words)


def negated(first: str, second: str) -> float:
    return bool(re.search(r"没|不|无|\b(no|not|nobody|nothing|never)\b|n't", second.lower()))


@pytest.mark.parametrize(
    ("name", "split", "shared"),
    [
        ("ocnli", "validation", shared_characters),
        ("cmnli", "validation", shared_characters),
        ("snli", "validation", shared_words),
        ("mnli", "validation_matched", shared_words),
        ("mnli_mismatched", "validation_mismatched_1k", shared_words),
    ],
)
def test_the_order_of_inference_labels(name: str, split: str, shared: Any, data_dir: Path) -> None:
    """What is entailed repeats the premise, and what contradicts it negates: true of one order of labels only."""
    overlap = by_class(name, split, data_dir, shared)
    assert max(overlap, key=lambda label: overlap[label]) == "entailment"
    negation = by_class(name, split, data_dir, negated)
    assert negation["contradiction"] > 1.5 * max(negation["entailment"], negation["neutral"])


def test_the_order_of_sick_labels(data_dir: Path) -> None:
    """Contradictions of SICK were made by negating, so they share most words of all."""
    assert by_class("sick", "test", data_dir, negated)["contradiction"] > 0.3
    overlap = by_class("sick", "test", data_dir, shared_words)
    assert overlap["entailment"] > overlap["neutral"]


@pytest.mark.parametrize(
    ("name", "split"), [("bustm", "validation"), ("fewclue-bustm", "test_public"), ("afqmc", "validation")]
)
def test_pairs_of_the_same_meaning_share_more(name: str, split: str, data_dir: Path) -> None:
    different, same = by_class(name, split, data_dir, shared_characters).values()
    assert same > different


def test_false_keywords_come_from_the_abstract(data_dir: Path) -> None:
    """CSL's false keywords were picked by TF-IDF, so rows with some of them find more in the abstract."""

    def found(abstract: str, keywords: str) -> float:
        return float(np.mean([word in abstract for word in keywords.split(";")]))

    share = by_class("fewclue-csl", "test_public", data_dir, found)
    assert share["some_false"] > share["all_real"] + 0.05


TOPIC_WORDS = {
    "story": "老公|婆婆|媳妇", "culture": "上联|下联|书法", "entertainment": "演员|明星|电影",
    "sports": "NBA|骑士|勇士|冠军", "finance": "银行|区块链|投资", "house": "房价|买房|楼市",
    "car": "SUV|汽车|奥迪", "edu": "高考|学生|老师", "tech": "手机|智能|苹果", "military": "航母|战机|导弹",
    "travel": "旅游|酒店|景区", "world": "特朗普|伊朗|美国", "stock": "A股|股票|券商",
    "agriculture": "农民|种植|农村", "game": "王者荣耀|玩家|绝地求生",
}  # fmt: skip


@pytest.mark.parametrize("topic", list(TOPIC_WORDS))
def test_each_topic_has_its_words(topic: str, data_dir: Path) -> None:
    pattern = re.compile(TOPIC_WORDS[topic])
    share = by_class("tnews", "validation", data_dir, lambda title: bool(pattern.search(title)))
    assert max(share, key=lambda label: share[label]) == topic


def chinese_model(folder: Path, texts: tuple[tuple[str, ...], ...], num_labels: int) -> Path:
    """A tiny random BERT over the characters of some texts, as a checkpoint folder."""
    characters = sorted({character for column in texts for text in column for character in text.lower()})
    words = tiny.SPECIAL + [character for character in characters if not character.isspace()]
    core = Tokenizer(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, num_labels=num_labels,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["ocnli", "tnews", "fewclue-bustm", "fewclue-csl"])
def test_chinese_tasks_end_to_end(name: str, data_dir: Path, tmp_path: Path) -> None:
    config = DataConfig(data_dir=str(data_dir), train_limit=64, eval_limit=40)
    data = load_task(name, config)
    model = chinese_model(tmp_path / "tiny", data.train.texts, data.task.num_labels)
    trained = robusteval.train(
        str(model), name, max_steps=3, batch_size=8, max_length=48, device="cpu", quiet=True, data=config,
    )  # fmt: skip
    saved = trained.save(tmp_path / "trained")
    assert AutoConfig.from_pretrained(saved).id2label == dict(enumerate(data.task.labels))
    result = robusteval.evaluate(
        str(saved), name, device="cpu", data=config, max_length=48, suites=("clean", "mask", "replace"),
        rates=(0.0, 0.5), sets=2,
    )  # fmt: skip
    for suite in ("mask", "replace"):
        assert result.scores[suite, "0", "accuracy"] == result.scores["clean", "", "accuracy"]
        assert 0 <= result.scores[suite, "0.5", "accuracy"] <= 1
    assert {measured.n for measured in result.measurements} == {40}


def test_the_tiny_tokenizer_reads_chinese(data_dir: Path, tmp_path: Path) -> None:
    """The end-to-end test would pass on unknown tokens alone."""
    examples = rows("ocnli", "validation", data_dir).take(range(50))
    folder = chinese_model(tmp_path, examples.texts, 3)
    tokens = AutoTokenizer.from_pretrained(folder)(list(examples.texts[0]), list(examples.texts[1]))["input_ids"]
    ids = np.concatenate([np.asarray(row) for row in tokens])
    assert float(np.mean(ids == tiny.SPECIAL.index("[UNK]"))) < 0.01
