"""Why is the gradient what it is? (In the making.)"""
