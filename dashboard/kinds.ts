/** The kinds that the page shows, by the word in its addresses. */

export interface Kind {
  readonly word: string
  readonly title: string
  readonly one: string
  /** Behind `/kube`. */
  readonly group: string
  readonly namespaced: boolean
}

const kind = (word: string, title: string, one: string, group: string, namespaced = true): Kind => ({
  ...{ word, title, one, group, namespaced },
})

export const WORKLOADS: readonly Kind[] = [
  kind('deployments', 'Deployments', 'Deployment', '/apis/apps/v1'),
  kind('statefulsets', 'StatefulSets', 'StatefulSet', '/apis/apps/v1'),
  kind('daemonsets', 'DaemonSets', 'DaemonSet', '/apis/apps/v1'),
  kind('jobs', 'Jobs', 'Job', '/apis/batch/v1'),
  kind('cronjobs', 'CronJobs', 'CronJob', '/apis/batch/v1'),
  kind('pods', 'Pods', 'Pod', '/api/v1'),
  kind('services', 'Services', 'Service', '/api/v1'),
  kind('persistentvolumeclaims', 'Claims', 'PersistentVolumeClaim', '/api/v1'),
]
export const NODES = kind('nodes', 'Nodes', 'Node', '/api/v1', false)
export const EVENTS = kind('events', 'Events', 'Event', '/api/v1')
export const ADDONS = kind('addons', 'Add-ons', 'Addon', '/apis/addons.mk8s.io/v1', false)

export function pathOf(of: Kind, namespace = '', name = ''): string {
  const inside = of.namespaced && namespace !== '' ? `/namespaces/${namespace}` : ''
  return `${of.group}${inside}/${of.word}${name === '' ? '' : `/${name}`}`
}

export interface KubeObject {
  readonly kind?: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid: string
    readonly resourceVersion?: string
    readonly creationTimestamp?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly ownerReferences?: readonly { readonly uid: string }[]
  }
  // biome-ignore lint/suspicious/noExplicitAny: objects of all kinds, read field by field
  readonly spec?: any
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly status?: any
}
