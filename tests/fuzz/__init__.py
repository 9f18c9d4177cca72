"""Tests of fuzz/: kept seeds, played without a fuzzer."""
