"""Imported once for all processes of `support.processes`: what is large, but not TextAttack, NLTK and flair.

How those three are imported is what some of the processes are for.
"""

# ruff: noqa: F401
import datasets
import matplotlib.pyplot
import pandas
import scipy.stats
import sklearn.metrics
import torch
import torch._dynamo
import transformers
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

torch.set_num_threads(1)
