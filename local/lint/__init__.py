"""Linters of the template and of the state machines, each held against a list of exceptions with reasons.

checkov                   security of template.yaml
cfn-lint                  the transformed template, and what each set of parameters makes of it
cloudformation-validate   what each set of parameters makes of it, with the rules of cdk-preflight
asl-validator, statelint  the state machines' definitions
"""
