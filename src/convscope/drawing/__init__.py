"""What do pictures share, whoever draws them?  Letters, colours, numbers, charts. Nothing here asks a network."""
