/**
 * What joiner and server say to each other on port 25000: JSON over HTTPS. What comes in is read field by field; an
 * unknown field is no error, so that versions can differ.
 */
import { isIP } from 'node:net'
import { Mk8sError } from '../../base/errors.ts'
import type { ClusterConfig, NodeConfig, NodePorts } from '../../config/node-config.ts'
import { nodeNameProblem } from '../../config/values.ts'
import { isMap } from '../../kube/json-map.ts'
import type { MemberAddress, MemberRole } from '../members/member-record.ts'
import type { AuthorityName, WorkerLeafName } from '../pki/authorities.ts'
import { WORKER_LEAVES } from '../pki/authorities.ts'
import type { PemPair } from '../pki/pki.ts'

export const JOIN_PROTOCOL = 1
export const JOIN_PATH = '/v1/join'

/** The node that wants to join, as it sees itself. */
export interface JoinerNode {
  readonly name: string
  readonly role: NodeConfig['role']
  readonly address: string
  readonly ports: NodePorts
  readonly failureDomain: string
}

/** `POST /v1/join`. */
export interface JoinRequest {
  readonly protocol: number
  readonly token: string
  /** The token stood on a command line, where others may have seen it. */
  readonly tokenWasShown: boolean
  readonly versions: {
    readonly mk8s: string
    /** `v1.36.x+mk8s.y`. */
    readonly kubernetes: string
    /** Newest format of log entries that it understands. */
    readonly entry: number
  }
  /** The joiner's clock, milliseconds. */
  readonly timeMs: number
  readonly node: JoinerNode
}

export interface KnownMember {
  /** In hexadecimal. */
  readonly id: string
  readonly nodeName: string
  readonly peerAddresses: readonly MemberAddress[]
  readonly apiAddress: MemberAddress
  readonly joinAddress: MemberAddress
}

/** What makes a server: the authorities and the keys that sign service-account tokens. */
export interface ServerKeys {
  readonly authorities: Readonly<Record<AuthorityName, PemPair>>
  readonly serviceAccount: { readonly privateKey: string; readonly publicKey: string }
  /** What the data keys of Secrets are encrypted with; absent in answers of a server before an upgrade. */
  readonly secretsKey?: string | null
}

export interface JoinAnswer {
  readonly attempt: AttemptCredentials
  readonly clusterId: string
  /** In hexadecimal. */
  readonly memberId: string
  readonly cluster: ClusterConfig
  readonly members: readonly KnownMember[]
  /** For servers only. */
  readonly keys: ServerKeys | null
}

/** By these the joiner goes on with its attempt, at any server. */
export interface AttemptCredentials {
  readonly id: string
  readonly secret: string
}

/** `POST /v1/join/<attempt>/commit`. */
export interface CommitRequest {
  /** SPKI PEM, from a worker, whose private keys never leave it. */
  readonly publicKeys: Readonly<Record<WorkerLeafName, string>> | null
}

export interface CommitAnswer {
  /** For a worker: PEM, each for the public key of that name. */
  readonly certificates: Readonly<Record<WorkerLeafName, string>> | null
  /** PEM of all that nodes trust, the one that signs first. Absent from a server before an upgrade. */
  readonly authorities?: string
}

/** `GET /v1/join/<attempt>`. */
export interface AttemptState {
  readonly state: 'reserved' | 'committed'
  /** Of a server that is a member already. */
  readonly role: MemberRole | null
  /** Raft's membership has the server in the role of its record. */
  readonly inPlace: boolean
  /** And no better role is about to be given to it. */
  readonly settled: boolean
  readonly nodeReady: boolean
}

const wrong = (what: string): Mk8sError =>
  new Mk8sError('usage', `the request of the joining node is not valid: ${what}`, {
    hint: 'use the same version of mk8s on both machines',
  })

type Fields = Readonly<Record<string, unknown>>

export function fieldsOf(value: unknown, what: string): Fields {
  if (!isMap(value)) throw wrong(`${what} is not an object`)
  return value
}

function text(fields: Fields, key: string, lengthMax = 512): string {
  const value = fields[key]
  if (typeof value !== 'string' || value.length > lengthMax) throw wrong(`${key} is not text`)
  return value
}

function number(fields: Fields, key: string, max = Number.MAX_SAFE_INTEGER): number {
  const value = fields[key]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max)
    throw wrong(`${key} is not a number`)
  return value
}

/** Only as much as it takes to judge the token, so that nobody without one learns what else is asked for. */
export function tokenOf(body: unknown): string {
  const token = isMap(body) ? body['token'] : undefined
  return typeof token === 'string' ? token : ''
}

export function parseJoinRequest(body: unknown): JoinRequest {
  const fields = fieldsOf(body, 'it')
  const protocol = number(fields, 'protocol')
  if (protocol !== JOIN_PROTOCOL) throw wrong(`it speaks version ${protocol} of the protocol`)
  const versions = fieldsOf(fields['versions'], 'versions')
  return {
    protocol,
    token: text(fields, 'token'),
    tokenWasShown: fields['tokenWasShown'] === true,
    versions: {
      mk8s: text(versions, 'mk8s', 64),
      kubernetes: text(versions, 'kubernetes', 64),
      entry: number(versions, 'entry', 255),
    },
    timeMs: number(fields, 'timeMs'),
    node: parseNode(fieldsOf(fields['node'], 'node')),
  }
}

function parseNode(fields: Fields): JoinerNode {
  const name = text(fields, 'name', 63)
  const problem = nodeNameProblem(name)
  if (problem !== undefined) throw wrong(`node.name: ${problem}`)
  const role = fields['role']
  if (role !== 'server' && role !== 'worker') throw wrong('node.role is neither server nor worker')
  const address = text(fields, 'address', 64)
  if (isIP(address) === 0) throw wrong('node.address is not an IP address')
  const failureDomain = text(fields, 'failureDomain', 63)
  return { name, role, address, ports: parsePorts(fieldsOf(fields['ports'], 'ports')), failureDomain }
}

const PORT_MAX = 65_535

function parsePorts(fields: Fields): NodePorts {
  const port = (key: string): number => {
    const value = number(fields, key, PORT_MAX)
    if (value === 0) throw wrong(`ports.${key} is not a port`)
    return value
  }
  return { api: port('api'), join: port('join'), raft: port('raft'), kubelet: port('kubelet') }
}

const KEY_LENGTH_MAX = 2_000

export function parseCommitRequest(body: unknown): CommitRequest {
  const { publicKeys = null } = fieldsOf(body, 'it')
  if (publicKeys === null) return { publicKeys: null }
  const fields = fieldsOf(publicKeys, 'publicKeys')
  const entries = WORKER_LEAVES.map(name => [name, text(fields, name, KEY_LENGTH_MAX)] as const)
  return { publicKeys: Object.fromEntries(entries) as Record<WorkerLeafName, string> }
}
