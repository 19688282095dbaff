"""What a user would pick instead, each with as little around it as a user would need."""
