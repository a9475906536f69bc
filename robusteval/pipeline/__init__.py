"""The one road of a classifier: opened, trained, evaluated, attacked."""
