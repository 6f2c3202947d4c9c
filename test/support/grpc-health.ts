/** A program that answers gRPC health checks at `POD_IP`, port 9090, until the file named in `GONE` is there. */
import { join } from 'node:path'

const GRPC = join(import.meta.dirname, '../../node_modules/@grpc/grpc-js')

/** For `node -e`. */
export const GRPC_HEALTH_SERVER = `
const grpc = require(${JSON.stringify(GRPC)})
const same = bytes => bytes
const method = { path: '/grpc.health.v1.Health/Check', requestStream: false, responseStream: false,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same }
const server = new grpc.Server()
const isGone = () => require('fs').existsSync(process.env.GONE ?? '/none')
server.addService({ Check: method }, { Check: (call, done) => done(null, Buffer.from([8, isGone() ? 2 : 1])) })
server.bindAsync(process.env.POD_IP + ':9090', grpc.ServerCredentials.createInsecure(), () => {})`
