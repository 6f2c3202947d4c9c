/** Whether somebody listens at an address: the cheapest way to learn that a machine is not off. */
import { connect } from 'node:net'

export interface SocketAddress {
  readonly host: string
  readonly port: number
}

/** Resolves false when the connection is refused, or nobody answers in time. */
export function isReachable({ host, port }: SocketAddress, timeoutMs: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port })
    const settle = (reached: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(reached)
    }
    const timer = setTimeout(() => settle(false), timeoutMs)
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
  })
}
