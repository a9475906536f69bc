"""What a user decides: records whose fields are checked, and their form as text, YAML and names."""
