"""Attacks: TextAttack's recipes and the user's own, run against a classifier offline, resumably and repeatably.

`recipes/` holds the registry and builds an attack, `queries/` answers what TextAttack asks the model, `resources/`
knows what recipes need and where it lies, `imports/` keeps TextAttack's imports in check, `results/` judges and
collects what came of it. `plan`, `runner` and `workers` put them together. Importing this package imports none of it.
"""
