"""Requests that are answered by the Batch API, at half the price, instead of one by one."""
