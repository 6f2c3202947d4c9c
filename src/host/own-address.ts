/** Whether an address is one of this machine's, and which others it has. */
import { createSocket } from 'node:dgram'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'

/** Asks the kernel, which also knows of all of 127.0.0.0/8: only an own address can be bound. */
export function isOwnAddress(address: string): Promise<boolean> {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4')
  return new Promise(resolve => {
    socket.once('error', () => {
      socket.close()
      resolve(false)
    })
    socket.bind({ address, port: 0, exclusive: true }, () => {
      socket.close()
      resolve(true)
    })
  })
}

/** Those that other machines may reach, IPv4 first. */
export function ownAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap(each => each ?? [])
  return all
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
    .map(({ address }) => address)
    .sort((a, b) => isIP(a) - isIP(b))
}
