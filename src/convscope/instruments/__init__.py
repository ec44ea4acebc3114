"""Instruments: each answers one question about a network."""
