"""What synthetic rows are good for, beside copies, SMOTE, class weights and nothing: docs/gan-uses.json.

Few known frauds, a product that starts cold, tests without personal data, and stress: `python -m models.training.gan_uses.run`.
"""
