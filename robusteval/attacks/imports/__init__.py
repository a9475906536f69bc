"""TextAttack and flair imported without what their imports do besides: nothing here knows of recipes or resources."""
