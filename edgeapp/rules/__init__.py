"""Rules over what packets say: `label == "person" and score > 0.6`.

`syntax` is the language, `fields` what can be named, `compiler` checks the types and makes a rule
callable, `rule` is what options and the runtime use. Nothing here looks at Python code.
"""
