"""OpenAI's API in front of the manager: its bodies, its answers, its streams.

See https://platform.openai.com/docs/api-reference. What OpenAI has no word for stands beside its
fields, under ``orac``. Keys that are not known are left aside, as new clients send new ones.
"""
