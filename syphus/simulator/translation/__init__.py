"""Translations for show: made-up text in the language asked for, which keeps what a translation keeps.

form.py     the form of an answer: translations as JSON
made_up.py  text in a language, as long as a translation would be
"""
