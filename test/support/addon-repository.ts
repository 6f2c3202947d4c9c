/** A repository of add-ons for tests: a directory whose add-ons can be changed from one version to the next. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ConfigMap } from '../../src/kube/types.ts'
import type { Addon } from '../../src/runtime/addons/addon-object.ts'
import { bundleMap, readBundle, readSource } from '../../src/runtime/addons/bundle.ts'
import type { Kubectl } from './kubectl.ts'
import { until } from './until.ts'

export interface AddonRepository {
  readonly directory: string
  /** Writes files by path. */
  write(files: Readonly<Record<string, string>>): void
}

export function addonRepository(directory: string): AddonRepository {
  return {
    directory,
    write(files) {
      for (const [path, text] of Object.entries(files)) {
        const file = join(directory, path)
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, text)
      }
    },
  }
}

const OBJECTS = `apiVersion: v1
kind: Namespace
metadata:
  name: web
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  namespace: web
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests:
      storage: \${size}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: web
spec:
  replicas: \${replicas}
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
        - name: web
          image: registry.invalid/web:1
          args: ["--greeting=\${greeting}"]
`

const configMap = (name: string): string =>
  `---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  namespace: web\ndata:\n  greeting: \${greeting}\n`

/** A workload with data: `old` is a ConfigMap of its first version only, `new` one of the second. */
export const webAddon = (version: '1.0.0' | '1.1.0'): Readonly<Record<string, string>> => ({
  'web/addon.yaml': `name: web
version: "${version}"
description: A web server with data
aliases: [www]
argument: size
dependencies: [base]
parameters:
  - { name: size, type: quantity, default: 1Gi }
  - { name: replicas, type: integer, default: 1, minimum: 1, maximum: 3 }
  - { name: greeting, type: string, default: hello }
manifests: [objects.yaml]
keep:
  - { kind: PersistentVolumeClaim }
`,
  'web/objects.yaml': OBJECTS + configMap(version === '1.0.0' ? 'old' : 'new'),
})

export const baseAddon: Readonly<Record<string, string>> = {
  'base/addon.yaml': `name: base\nversion: "1.0.0"\ndescription: What web needs\nmanifests: [role.yaml]\n`,
  'base/role.yaml': `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: base
rules:
  - apiGroups: [""]
    resources: [configmaps]
    verbs: [get]
`,
}

/** Its image is nowhere: its registry refuses connections. */
export const imagelessAddon: Readonly<Record<string, string>> = {
  'lost/addon.yaml': `name: lost\nversion: "1.0.0"\ndescription: An image that is nowhere\nimages: ["127.0.0.1:1/lost:1"]\n`,
}

/** As somebody wrote it for Helm. */
export const chartAddon: Readonly<Record<string, string>> = {
  'tea/addon.yaml': `name: tea
version: "0.1.0"
description: A chart
parameters:
  - { name: kind, type: enum, values: [green, black], default: green }
chart:
  path: chart
  namespace: default
  values: { leaf: { kind: "\${kind}" } }
`,
  'tea/chart/Chart.yaml': 'apiVersion: v2\nname: tea\nversion: 0.1.0\n',
  'tea/chart/values.yaml': 'leaf:\n  kind: white\n',
  'tea/chart/values.schema.json':
    '{"type":"object","properties":{"leaf":{"type":"object","properties":{"kind":{"enum":["green","white"]}}}}}',
  'tea/chart/templates/cup.yaml': `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-cup\ndata:\n  kind: {{ .Values.leaf.kind | upper }}\n  plain: "\${kind}"\n`,
}

/** As if an earlier version had been enabled: whatever `addons upgrade` then does, it does to the same objects and data. */
export async function makeOlder(kubectl: Kubectl, name: string): Promise<void> {
  const addon = (await kubectl.json(['get', 'addon', name])) as Addon
  const map = ['get', 'configmap', '-n', 'kube-system', addon.spec?.bundle ?? '']
  const { files } = readBundle((await kubectl.json(map)) as ConfigMap)
  const text = (files['addon.yaml'] ?? '').replace(/^version: .*$/m, 'version: "0.0.9"')
  const older = bundleMap(readSource({ ...files, 'addon.yaml': text }, name))
  await kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(older) })
  const patch = { spec: { version: '0.0.9', bundle: older.metadata.name } }
  await kubectl.ok(['patch', 'addon', name, '--type=merge', '-p', JSON.stringify(patch)])
  await until(`the earlier version of ${name} is there`, async () => {
    const { status } = (await kubectl.json(['get', 'addon', name])) as Addon
    return status?.version === '0.0.9' && status.phase === 'Ready'
  })
}
