import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod, Secret } from '../../../../src/kube/types.ts'
import {
  missingPullSecrets,
  registryCredentials,
} from '../../../../src/runtime/kubelet/registry-credentials.ts'

const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64')
const auth = Buffer.from('ann:a:b').toString('base64')
const secrets: Readonly<Record<string, Secret['data']>> = {
  new: { '.dockerconfigjson': encoded({ auths: { 'r.example.com': { auth } } }) },
  old: { '.dockercfg': encoded({ 'o.example.com': { username: 'bob', password: 'pass' } }) },
  damaged: { '.dockerconfigjson': 'AAAA' },
}
const objects = {
  secret: (name: string) => {
    const data = secrets[name]
    return data === undefined ? null : { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data }
  },
  configMap: () => null,
}
const pod: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec: {
    containers: [],
    imagePullSecrets: [{ name: 'gone' }, { name: 'new' }, { name: 'old' }, { name: 'damaged' }, {}],
  },
}

test('pull secrets of both forms are credentials, and those that are not there are named', () => {
  assert.deepEqual(registryCredentials(pod, objects), [
    { server: 'r.example.com', username: 'ann', password: 'a:b' },
    { server: 'o.example.com', username: 'bob', password: 'pass' },
  ])
  assert.deepEqual(missingPullSecrets(pod, objects), ['gone'])
})
