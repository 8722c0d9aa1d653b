import { credentials } from '@grpc/grpc-js'
import { openConnection } from '../../src/cli/connection.js'

// A process that waits for one sync execution: sync-caller HOST:PORT FUNCTION ID
const [address = '', functionName = '', id = ''] = process.argv.slice(2)
const { agent } = openConnection(address, credentials.createInsecure())
agent.executeFunction({ function_name: functionName, execution_id: id }, () => process.exit(1))
