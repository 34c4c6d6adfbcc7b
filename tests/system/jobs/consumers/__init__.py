"""Kinds of jobs for the tests of this folder."""
