"""Tests of the code as a text: who may import whom, and whether the examples fit."""
