"""Recipes: their registry with what each needs, variants and the user's own, and building an attack of one."""
