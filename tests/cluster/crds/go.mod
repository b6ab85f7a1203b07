module driftwarden.dev/tests/cluster/crds

go 1.25.0

// Nothing of them is compiled: these modules are where the two projects publish their CustomResourceDefinitions.
require (
	github.com/argoproj/argo-workflows/v3 v3.7.4
	github.com/tektoncd/pipeline v1.6.0
)
