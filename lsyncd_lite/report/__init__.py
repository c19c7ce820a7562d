"""State → what people and machines read."""
