/** Every kind as data: short names, categories, status, rules and columns, as kube-apiserver 1.36 has them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { realModel } from '../harness.ts'

/**
 * Resource, short names, categories, what has rules, columns. A star: only with `-o wide`. Namespaces and a few
 * others have no rules for updates beyond those of metadata, as upstream.
 */
type Row = readonly [key: string, short: string, categories: string, rules: string, columns: string]

const rows: readonly Row[] = [
  ['/componentstatuses', 'cs', '', '', 'Name|Status|Message|Error'],
  ['/configmaps', 'cm', '', 'create update', 'Name|Data|Age'],
  ['/endpoints', 'ep', '', 'create update', 'Name|Endpoints|Age'],
  [
    '/events',
    'ev',
    '',
    'create update',
    'Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*|Name*',
  ],
  ['/limitranges', 'limits', '', 'create update', 'Name|Created At'],
  ['/namespaces', 'ns', '', '', 'Name|Status|Age'],
  [
    '/nodes',
    'no',
    '',
    'create update',
    'Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|Container-Runtime*',
  ],
  [
    '/persistentvolumeclaims',
    'pvc',
    '',
    'create update',
    'Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode*',
  ],
  [
    '/persistentvolumes',
    'pv',
    '',
    'create update',
    'Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode*',
  ],
  [
    '/pods',
    'po',
    'all',
    'create update',
    'Name|Ready|Status|Restarts|Age|IP*|Node*|Nominated Node*|Readiness Gates*',
  ],
  ['/podtemplates', '', '', 'create update', 'Name|Containers|Images|Pod Labels'],
  [
    '/replicationcontrollers',
    'rc',
    'all',
    'create update',
    'Name|Desired|Current|Ready|Age|Containers*|Images*|Selector*',
  ],
  ['/resourcequotas', 'quota', '', 'create update', 'Name|Request|Limit|Age'],
  ['/secrets', '', '', 'create update', 'Name|Type|Data|Age'],
  ['/serviceaccounts', 'sa', '', '', 'Name|Secrets|Age'],
  ['/services', 'svc', 'all', 'create update', 'Name|Type|Cluster-IP|External-IP|Port(s)|Age|Selector*'],
  ['apiregistration.k8s.io/apiservices', '', 'api-extensions', 'create update', 'Name|Service|Available|Age'],
  ['apps/controllerrevisions', '', '', 'create update', 'Name|Controller|Revision|Age'],
  [
    'apps/daemonsets',
    'ds',
    'all',
    'create update',
    'Name|Desired|Current|Ready|Up-to-date|Available|Node Selector|Age|Containers*|Images*|Selector*',
  ],
  [
    'apps/deployments',
    'deploy',
    'all',
    'create update',
    'Name|Ready|Up-to-date|Available|Age|Containers*|Images*|Selector*',
  ],
  [
    'apps/replicasets',
    'rs',
    'all',
    'create update',
    'Name|Desired|Current|Ready|Age|Containers*|Images*|Selector*',
  ],
  ['apps/statefulsets', 'sts', 'all', 'create update', 'Name|Ready|Age|Containers*|Images*'],
  [
    'events.k8s.io/events',
    'ev',
    '',
    'create update',
    'Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count*|Name*',
  ],
  [
    'autoscaling/horizontalpodautoscalers',
    'hpa',
    'all',
    'create update',
    'Name|Reference|Targets|MinPods|MaxPods|Replicas|Age',
  ],
  [
    'batch/cronjobs',
    'cj',
    'all',
    'create update',
    'Name|Schedule|Timezone|Suspend|Active|Last Schedule|Age|Containers*|Images*|Selector*',
  ],
  [
    'batch/jobs',
    '',
    'all',
    'create update',
    'Name|Status|Completions|Duration|Age|Containers*|Images*|Selector*',
  ],
  [
    'certificates.k8s.io/certificatesigningrequests',
    'csr',
    '',
    'create update',
    'Name|Age|SignerName|Requestor|RequestedDuration|Condition',
  ],
  ['networking.k8s.io/ingressclasses', '', '', 'create update', 'Name|Controller|Parameters|Age'],
  ['networking.k8s.io/ingresses', 'ing', '', 'create update', 'Name|Class|Hosts|Address|Ports|Age'],
  ['networking.k8s.io/ipaddresses', 'ip', '', 'create update', 'Name|ParentRef'],
  ['networking.k8s.io/networkpolicies', 'netpol', '', 'create update', 'Name|Pod-Selector|Age'],
  ['networking.k8s.io/servicecidrs', '', '', 'create update', 'Name|CIDRs|Age'],
  [
    'policy/poddisruptionbudgets',
    'pdb',
    '',
    'create update',
    'Name|Min Available|Max Unavailable|Allowed Disruptions|Age',
  ],
  [
    'rbac.authorization.k8s.io/clusterrolebindings',
    '',
    '',
    'create update',
    'Name|Role|Age|Users*|Groups*|ServiceAccounts*',
  ],
  ['rbac.authorization.k8s.io/clusterroles', '', '', 'create update', 'Name|Created At'],
  [
    'rbac.authorization.k8s.io/rolebindings',
    '',
    '',
    'create update',
    'Name|Role|Age|Users*|Groups*|ServiceAccounts*',
  ],
  ['rbac.authorization.k8s.io/roles', '', '', 'create update', 'Name|Created At'],
  [
    'storage.k8s.io/csidrivers',
    '',
    '',
    'create update',
    'Name|AttachRequired|PodInfoOnMount|StorageCapacity|TokenRequests|RequiresRepublish|Modes|Age',
  ],
  ['storage.k8s.io/csinodes', '', '', 'create update', 'Name|Drivers|Age'],
  ['storage.k8s.io/csistoragecapacities', '', '', 'create update', 'Name|StorageClassName|Capacity'],
  [
    'storage.k8s.io/storageclasses',
    'sc',
    '',
    'create update',
    'Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age',
  ],
  ['storage.k8s.io/volumeattachments', '', '', 'create update', 'Name|Attacher|PV|Node|Attached|Age'],
  ['storage.k8s.io/volumeattributesclasses', 'vac', '', 'create update', 'Name|DriverName|Age'],
  [
    'admissionregistration.k8s.io/mutatingadmissionpolicies',
    '',
    'api-extensions',
    'create update',
    'Name|Mutations|ParamKind|Age',
  ],
  [
    'admissionregistration.k8s.io/mutatingadmissionpolicybindings',
    '',
    'api-extensions',
    'create update',
    'Name|PolicyName|ParamRef|Age',
  ],
  [
    'admissionregistration.k8s.io/mutatingwebhookconfigurations',
    '',
    'api-extensions',
    'create update',
    'Name|Webhooks|Age',
  ],
  [
    'admissionregistration.k8s.io/validatingadmissionpolicies',
    '',
    'api-extensions',
    'create update',
    'Name|Validations|ParamKind|Age',
  ],
  [
    'admissionregistration.k8s.io/validatingadmissionpolicybindings',
    '',
    'api-extensions',
    'create update',
    'Name|PolicyName|ParamRef|Age',
  ],
  [
    'admissionregistration.k8s.io/validatingwebhookconfigurations',
    '',
    'api-extensions',
    'create update',
    'Name|Webhooks|Age',
  ],
  [
    'apiextensions.k8s.io/customresourcedefinitions',
    'crd crds',
    'api-extensions',
    'create update',
    'Name|Created At',
  ],
  [
    'scheduling.k8s.io/priorityclasses',
    'pc',
    '',
    'create update',
    'Name|Value|Global-Default|Age|PreemptionPolicy',
  ],
  ['coordination.k8s.io/leases', '', '', 'create update', 'Name|Holder|Age'],
  ['node.k8s.io/runtimeclasses', '', '', 'create update', 'Name|Handler|Age'],
  ['discovery.k8s.io/endpointslices', '', '', 'create update', 'Name|AddressType|Ports|Endpoints|Age'],
  [
    'flowcontrol.apiserver.k8s.io/flowschemas',
    '',
    '',
    'create update',
    'Name|PriorityLevel|MatchingPrecedence|DistinguisherMethod|Age|MissingPL',
  ],
  [
    'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations',
    '',
    '',
    'create update',
    'Name|Type|NominalConcurrencyShares|Queues|HandSize|QueueLengthLimit|Age',
  ],
  ['resource.k8s.io/deviceclasses', '', '', 'create update', 'Name|Age'],
  ['resource.k8s.io/resourceclaims', '', '', 'create update', 'Name|State|Age'],
  ['resource.k8s.io/resourceclaimtemplates', '', '', 'create update', 'Name|Age'],
  ['resource.k8s.io/resourceslices', '', '', 'create update', 'Name|Node|Driver|Pool|Age'],
]

/** Kinds that are asked, not kept. */
const ANSWERED = /reviews$|^\/bindings$/

for (const [key, short, categories, rules, columns] of rows) {
  test(`${key} has upstream's names and columns`, () => {
    const strategy = must(strategies.get(key), key)
    const [group = '', resource = ''] = key.split('/')
    const infos = realModel().resources.filter(info => info.group === group && info.resource === resource)
    assert.notEqual(infos.length, 0)
    for (const info of infos) {
      assert.deepEqual([info.shortNames.join(' '), info.categories.join(' ')], [short, categories])
      const hasStatus = info.subresources.some(({ name }) => name === 'status')
      assert.equal(strategy.hasStatus ?? false, hasStatus)
    }
    const shown = (strategy.table?.columns ?? []).map(({ name, priority }) => name + '*'.repeat(priority))
    assert.equal(shown.join('|'), columns)
    const create = (strategy.validate ?? strategy.validateCreate) ? ['create'] : []
    const update =
      (strategy.validate && strategy.ratchets !== true) || strategy.validateUpdate ? ['update'] : []
    assert.equal([...create, ...update].join(' '), rules)
  })
}

test('every kind that is kept is in the table', () => {
  const known = new Set(rows.map(([key]) => key))
  const lacking = realModel()
    .resources.map(({ group, resource }) => `${group}/${resource}`)
    .filter(key => !known.has(key) && !ANSWERED.test(key))
  assert.deepEqual(lacking, [])
})
