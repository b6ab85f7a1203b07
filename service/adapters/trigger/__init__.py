"""What an action becomes: an object in a Kubernetes cluster, or (dry run) the text of one.

Import from the modules: the Kubernetes client takes more than a second to import, and a dry run does not need it.
"""
