/** Asks other servers over their join listeners, as a server does: with a certificate of the cluster authority. */
import { Mk8sError } from '../../base/errors.ts'
import { askServer, type ServerCredentials, type ServerQuestion } from '../../client/server-call.ts'
import { MEMBER_PATH, type MemberAnswer } from './member-answer.ts'
import type { MemberAddress, MemberRecord } from './member-record.ts'
import { MOVED_PATH, type Move } from './moved-member.ts'

const OK = 200

export type MemberCredentials = ServerCredentials

export interface MemberClient {
  /** Rejects when there is no answer, or none that makes sense. */
  ask(record: Pick<MemberRecord, 'id' | 'joinAddress'>, signal: AbortSignal): Promise<MemberAnswer>
  /** Where this server is found now; rejects when the other one cannot have it written down. */
  tellMove(record: Pick<MemberRecord, 'joinAddress'>, move: Move, signal: AbortSignal): Promise<void>
}

/** The credentials are asked for each time, so that renewed ones are put to use. */
export function createMemberClient(credentials: () => MemberCredentials): MemberClient {
  const answerTo = async (address: MemberAddress, question: ServerQuestion): Promise<unknown> => {
    const { status, answer } = await askServer(address, credentials(), question)
    if (status === OK) return answer
    const why = JSON.stringify(answer).slice(0, 200)
    throw new Mk8sError('api/unreachable', `the server answered ${status}`, { why })
  }
  return {
    async ask({ id, joinAddress }, signal) {
      const answer = (await answerTo(joinAddress, {
        method: 'GET',
        path: MEMBER_PATH,
        signal,
      })) as MemberAnswer
      if (answer.id !== id) throw new Mk8sError('api/unreachable', 'another server answers at this address')
      return answer
    },
    async tellMove({ joinAddress }, move, signal) {
      await answerTo(joinAddress, { method: 'POST', path: MOVED_PATH, body: move, signal })
    },
  }
}
