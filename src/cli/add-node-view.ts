/** Shows a join token and how to use it, in the formats of `mk8s add-node`. Pure. */
import { bracketed } from '../base/bracketed.ts'
import type { AddNodeAnswer } from '../client/add-node.ts'
import { renderYaml } from '../kube/yaml.ts'

export const addNodeFormats = ['pretty', 'short', 'token', 'json', 'yaml'] as const
export type AddNodeFormat = (typeof addNodeFormats)[number]

/** Stands for a token that must not stand on a command line. */
const ELSEWHERE = '-'

export function renderAddNode(answer: AddNodeAnswer, format: AddNodeFormat): string {
  switch (format) {
    case 'token':
      return answer.token
    case 'json':
      return JSON.stringify(fieldsOf(answer), null, 2)
    case 'yaml':
      return renderYaml(fieldsOf(answer))
    case 'short':
      return commandsOf(answer).join('\n')
    case 'pretty':
      return renderPretty(answer)
  }
}

/** `token` and `urls` are MicroK8s' own fields. */
function fieldsOf(answer: AddNodeAnswer): object {
  const { token, fingerprint, worker, uses, expiresAt } = answer
  return {
    token: `${token}/${fingerprint}`,
    urls: urlsOf(answer, token),
    commands: commandsOf(answer),
    fingerprint,
    worker,
    uses,
    expiresAt,
  }
}

const urlsOf = ({ addresses, port, fingerprint }: AddNodeAnswer, token: string): string[] =>
  addresses.map(address => `${bracketed(address)}:${port}/${token}/${fingerprint}`)

function commandsOf(answer: AddNodeAnswer): string[] {
  const isReusable = answer.uses !== 1
  const options = `${answer.worker ? ' --worker' : ''}${isReusable ? ' --token-file FILE' : ''}`
  return urlsOf(answer, isReusable ? ELSEWHERE : answer.token).map(url => `mk8s join ${url}${options}`)
}

function renderPretty(answer: AddNodeAnswer): string {
  const [first = '', ...others] = commandsOf(answer)
  const lines = ['From the node you wish to join to this cluster, run the following:', first]
  if (answer.uses !== 1)
    lines.push(
      '',
      'FILE holds this token, readable for root only; MK8S_JOIN_TOKEN or standard input do as well:',
      answer.token,
    )
  if (!answer.worker)
    lines.push(
      '',
      "Use the '--worker' flag to join a node as a worker not running the control plane, eg:",
      `${first} --worker`,
    )
  if (others.length > 0)
    lines.push(
      '',
      'If the node you are adding cannot reach this address, you can use one of the following:',
      ...others,
    )
  const times =
    answer.uses === null ? 'any number of joins' : answer.uses === 1 ? 'one join' : `${answer.uses} joins`
  lines.push(
    '',
    `The token is good for ${times} until ${answer.expiresAt}; a join that fails does not use it up.`,
  )
  return lines.join('\n')
}
