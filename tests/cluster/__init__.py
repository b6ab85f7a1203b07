"""A real Kubernetes API for the tests: etcd, kube-apiserver and kube-controller-manager, built from Go modules."""
