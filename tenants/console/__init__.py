"""What the console's pages share: who is looking (`member`), how values look (`cells`), what a page is (`pages`)."""
