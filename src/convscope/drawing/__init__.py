"""What do pictures share, whoever draws them?  Letters and colours. Nothing here computes anything about a network."""
