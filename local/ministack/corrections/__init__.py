"""Corrections of MiniStack 1.5.33, each for a behaviour of AWS that ours depends on.

Each module says what AWS does, and has `apply()`. A test of the same name in tests/stack/test_corrections.py fails on
the day on which MiniStack does it by itself.
"""
