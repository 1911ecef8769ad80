"""Pieces as tokens: proofs and tables, vocabularies, the one encoder, and the Arrow cache.

This file imports nothing: its settings are read before anything heavy is loaded.
"""
