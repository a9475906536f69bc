"""Files: written so that nothing finished is lost, read so that nothing wrong goes unsaid."""
