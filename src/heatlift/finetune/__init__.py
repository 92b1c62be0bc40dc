"""Fine-tuning a network on class folders, by the recipe of Tjoa 2022."""
