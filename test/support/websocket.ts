/** A websocket to the API server, and what comes over it until it is closed. */
import { WebSocket } from 'ws'
import { credentialsOf } from './api.ts'

/** With the kubeconfig's certificate. */
export function openWebsocket(kubeconfig: string, path: string, protocols: string[] = []): WebSocket {
  const { server, ca, cert, key } = credentialsOf(kubeconfig)
  return new WebSocket(`${server.replace('https:', 'wss:')}${path}`, protocols, { ca, cert, key })
}

/** All messages until the server ends it; fails when there is no websocket. */
export function messagesOf(socket: WebSocket): Promise<Buffer[]> {
  const messages: Buffer[] = []
  return new Promise((resolve, reject) => {
    socket.on('message', data => messages.push(Buffer.from(data as Buffer)))
    socket.on('error', reject)
    socket.on('close', () => resolve(messages))
  })
}
