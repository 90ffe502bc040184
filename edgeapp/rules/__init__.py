"""Rules over what packets say: `label == "person" and score > 0.6`.

`syntax` is the language, `tree` what a rule becomes, `fields` what can be named, `types` checks it,
`compiler` makes it callable, `rule` is what options and the runtime use. Nothing here looks at Python code.
"""
