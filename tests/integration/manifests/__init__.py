"""The manifests as kustomize builds them: do they agree with the service, and would a cluster take them?"""
