"""Simulated translations: filler words of the target language that keep what a translation must keep.

fake_text.py  filler text as long as a translation would be, and the damage that models do to translations
form.py       the form of translations, as JSON, and of a judge's opinion about them
"""
