/** The few things that may be changed from the page, offered only to those who may. */
import { html } from 'htm/preact'
import { useEffect, useState } from 'preact/hooks'
import { type Kind, type KubeObject, pathOf } from './kinds.ts'
import { AskingButton } from './parts.ts'
import { ask, askJson } from './session.ts'

interface Asked {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource?: string
  readonly namespace: string
}

function useMay(asked: Asked): boolean {
  const [may, setMay] = useState(false)
  const id = JSON.stringify(asked)
  useEffect(() => {
    const body = JSON.stringify({
      ...{ apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview' },
      spec: { resourceAttributes: JSON.parse(id) },
    })
    const options = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    askJson<{ status: { allowed: boolean } }>(
      '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      options,
    )
      .then(({ status }) => setMay(status.allowed))
      .catch(() => setMay(false))
  }, [id])
  return may
}

const patch = (path: string, body: object, type = 'application/merge-patch+json') =>
  ask(`/kube${path}`, { method: 'PATCH', body: JSON.stringify(body), headers: { 'content-type': type } })

interface ActionProps {
  readonly kind: Kind
  readonly object: KubeObject
}

export function WorkloadActions({ kind, object }: ActionProps) {
  const { name, namespace = '' } = object.metadata
  const group = kind.group.split('/')[2] ?? ''
  const isSet = group === 'apps'
  const canScale = kind.word === 'deployments' || kind.word === 'statefulsets'
  const mayPatch = useMay({ verb: 'patch', group, resource: kind.word, namespace })
  const mayScale = useMay({ verb: 'patch', group, resource: kind.word, subresource: 'scale', namespace })
  const path = pathOf(kind, namespace, name)
  const restart = async () => {
    const annotations = { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() }
    await patch(path, { spec: { template: { metadata: { annotations } } } })
  }
  if (!isSet || !(mayPatch || mayScale)) return null
  return html`<div class="buttons">
    ${mayPatch && html`<${AskingButton} word="Restart" question=${`Restart all pods of ${name}, one after the other?`} act=${restart} />`}
    ${
      canScale &&
      mayScale &&
      html`<${AskingButton} word="Scale" question=${`How many replicas should ${name} have?`} amount=${object.spec?.replicas ?? 1}
        act=${async (replicas: number) => void (await patch(`${path}/scale`, { spec: { replicas } }))} />`
    }
  </div>`
}

export function PodActions({ kind, object }: ActionProps) {
  const { name, namespace = '' } = object.metadata
  const may = useMay({ verb: 'delete', group: '', resource: 'pods', namespace })
  if (!may) return null
  const remove = async () => {
    await ask(`/kube${pathOf(kind, namespace, name)}`, { method: 'DELETE' })
  }
  return html`<div class="buttons"><${AskingButton} word="Delete" isHarmful
    question=${`Delete the pod ${name}? Its controller, if it has one, makes another one.`} act=${remove} /></div>`
}
